//! The channels of an exec stream: one WebSocket carries input, two outputs and the status, each
//! message marked by its first byte (k8s.io/apimachinery, `pkg/util/remotecommand`).

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::channel::{mpsc, oneshot};
use futures::stream::{BoxStream, SplitSink, SplitStream};
use futures::{Sink, SinkExt, Stream, StreamExt, stream};
use serde_json::Value;
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_util::io::StreamReader;
use tokio_util::task::AbortOnDropHandle;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
const CLOSE: u8 = 255;

/// Messages that may wait for a reader, per output.
const WAITING: usize = 8;
/// Largest piece of input per message.
const PIECE: usize = 32 * 1024;
/// How often the peer is asked for a sign of life, and how many may be missed.
const PING: Duration = Duration::from_secs(20);
const MISSED_PINGS: u32 = 3;

/// Input of a command.
pub type ExecInput = DuplexStream;
/// Output of a command; ends with an error if the stream broke.
pub type ExecOutput = StreamReader<BoxStream<'static, io::Result<Bytes>>, Bytes>;

/// How a command ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Exited(i32),
    NotRun(String),
    Broken(String),
}

/// Our ends of the channels.
pub(crate) struct Ends {
    pub(crate) stdin: ExecInput,
    pub(crate) stdout: ExecOutput,
    pub(crate) stderr: ExecOutput,
    pub(crate) outcome: oneshot::Receiver<Outcome>,
    pub(crate) task: AbortOnDropHandle<()>,
}

/// What goes to a reader. Without `End` the output is not whole.
enum Piece {
    Data(Bytes),
    End,
}

/// Starts to serve a stream. `can_end_input` if the protocol has a message for it (v5).
pub(crate) fn serve<S>(socket: S, can_end_input: bool) -> Ends
where
    S: Stream<Item = Result<Message, WsError>> + Sink<Message, Error = WsError> + Send + Unpin + 'static,
{
    let (stdin, input) = tokio::io::duplex(PIECE);
    let (stdout_writer, stdout) = output();
    let (stderr_writer, stderr) = output();
    let (tell, outcome) = oneshot::channel();
    let (sink, source) = socket.split();
    let relay = Relay {
        sink,
        source,
        input: Some(input),
        can_end_input,
        stdout: stdout_writer,
        stderr: stderr_writer,
    };
    let task = tokio::spawn(async move {
        // Nobody may be waiting for the outcome any more.
        let _ = tell.send(relay.run().await);
    });
    Ends { stdin, stdout, stderr, outcome, task: AbortOnDropHandle::new(task) }
}

fn output() -> (mpsc::Sender<Piece>, ExecOutput) {
    let (writer, pieces) = mpsc::channel(WAITING);
    let bytes = stream::unfold(Some(pieces), |pieces| async move {
        let mut pieces: mpsc::Receiver<Piece> = pieces?;
        match pieces.next().await {
            Some(Piece::Data(bytes)) => Some((Ok(bytes), Some(pieces))),
            Some(Piece::End) => None,
            None => {
                let error =
                    io::Error::new(io::ErrorKind::BrokenPipe, "the stream broke before the output's end");
                Some((Err(error), None))
            }
        }
    });
    (writer, StreamReader::new(bytes.boxed()))
}

struct Relay<S> {
    sink: SplitSink<S, Message>,
    source: SplitStream<S>,
    input: Option<DuplexStream>,
    can_end_input: bool,
    stdout: mpsc::Sender<Piece>,
    stderr: mpsc::Sender<Piece>,
}

/// What happened next.
enum Event {
    Message(Option<Result<Message, WsError>>),
    Input(io::Result<Bytes>),
    Ping,
}

impl<S> Relay<S>
where
    S: Stream<Item = Result<Message, WsError>> + Sink<Message, Error = WsError> + Unpin,
{
    async fn run(mut self) -> Outcome {
        let mut pings = ping_interval();
        let mut heard = Instant::now();
        loop {
            let done = match self.next(&mut pings).await {
                Event::Message(message) => {
                    let done = self.receive(message).await;
                    heard = Instant::now();
                    done
                }
                Event::Input(read) => self.forward(read).await,
                Event::Ping if heard.elapsed() > PING * MISSED_PINGS => {
                    Some(Outcome::Broken(format!("no sign of life for {} s", heard.elapsed().as_secs())))
                }
                Event::Ping => self.send(Message::Ping(Bytes::new())).await,
            };
            if let Some(outcome) = done {
                return outcome;
            }
        }
    }

    async fn next(&mut self, pings: &mut Interval) -> Event {
        let input = async {
            match &mut self.input {
                Some(input) => {
                    let mut piece = Vec::with_capacity(PIECE);
                    input.read_buf(&mut piece).await.map(|_| Bytes::from(piece))
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            message = self.source.next() => Event::Message(message),
            read = input => Event::Input(read),
            _ = pings.tick() => Event::Ping,
        }
    }

    async fn receive(&mut self, message: Option<Result<Message, WsError>>) -> Option<Outcome> {
        let data = match message {
            Some(Ok(Message::Binary(data))) => data,
            Some(Ok(Message::Close(frame))) => {
                let reason = frame.map(|frame| frame.reason.to_string()).filter(|reason| !reason.is_empty());
                return Some(Outcome::Broken(reason.unwrap_or_else(|| "closed by the server".to_owned())));
            }
            Some(Ok(_)) => return None,
            Some(Err(error)) => return Some(Outcome::Broken(error.to_string())),
            None => return Some(Outcome::Broken("closed without a status".to_owned())),
        };
        let (channel, data) = (*data.first()?, data.slice(1..));
        match channel {
            // A reader that is gone does not want it. An empty message only opens the channel.
            STDOUT if !data.is_empty() => drop(self.stdout.send(Piece::Data(data)).await),
            STDERR if !data.is_empty() => drop(self.stderr.send(Piece::Data(data)).await),
            STATUS if !data.is_empty() => {
                let _ = self.stdout.send(Piece::End).await;
                let _ = self.stderr.send(Piece::End).await;
                return Some(Outcome::of(&data));
            }
            _ => {}
        }
        None
    }

    async fn forward(&mut self, read: io::Result<Bytes>) -> Option<Outcome> {
        match read {
            Ok(piece) if !piece.is_empty() => {
                let mut message = Vec::with_capacity(piece.len() + 1);
                message.push(STDIN);
                message.extend_from_slice(&piece);
                self.send(Message::binary(message)).await
            }
            _ => {
                self.input = None;
                if self.can_end_input {
                    return self.send(Message::binary(vec![CLOSE, STDIN])).await;
                }
                Some(Outcome::Broken(
                    "the API server (before 1.30) has no way to end a command's input".to_owned(),
                ))
            }
        }
    }

    async fn send(&mut self, message: Message) -> Option<Outcome> {
        self.sink.send(message).await.err().map(|error| Outcome::Broken(error.to_string()))
    }
}

fn ping_interval() -> Interval {
    let mut pings = tokio::time::interval(PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings.reset();
    pings
}

impl Outcome {
    /// Reads the Status object that ends the stream. A command that ran and failed has the reason
    /// `NonZeroExitCode`; anything else is a failure to run it.
    fn of(status: &[u8]) -> Self {
        let Ok(status) = serde_json::from_slice::<Value>(status) else {
            return Outcome::Broken("its status is not JSON".to_owned());
        };
        if status["status"] == "Success" {
            return Outcome::Exited(0);
        }
        let causes = status["details"]["causes"].as_array().into_iter().flatten();
        let mut codes = causes.filter(|cause| cause["reason"] == "ExitCode");
        let code = codes.next().and_then(|cause| cause["message"].as_str()?.parse().ok());
        match code {
            Some(code) => Outcome::Exited(code),
            None => Outcome::NotRun(status["message"].as_str().unwrap_or("no reason given").to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::channel::mpsc::{Receiver, UnboundedSender, unbounded};
    use tokio::io::AsyncWriteExt;

    /// A socket whose other side is the test.
    struct Far {
        to_us: UnboundedSender<Result<Message, WsError>>,
        from_us: Receiver<Message>,
    }

    fn connected(can_end_input: bool) -> (Far, Ends) {
        let (to_us, incoming) = unbounded();
        let (outgoing, from_us) = mpsc::channel(8);
        let outgoing = outgoing.sink_map_err(|_| WsError::ConnectionClosed);
        let socket = Socket { incoming, outgoing: Box::pin(outgoing) };
        (Far { to_us, from_us }, serve(socket, can_end_input))
    }

    struct Socket {
        incoming: mpsc::UnboundedReceiver<Result<Message, WsError>>,
        outgoing: std::pin::Pin<Box<dyn Sink<Message, Error = WsError> + Send>>,
    }

    impl Stream for Socket {
        type Item = Result<Message, WsError>;

        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            context: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Self::Item>> {
            self.incoming.poll_next_unpin(context)
        }
    }

    impl Sink<Message> for Socket {
        type Error = WsError;

        fn poll_ready(
            mut self: std::pin::Pin<&mut Self>,
            context: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), WsError>> {
            self.outgoing.as_mut().poll_ready(context)
        }

        fn start_send(mut self: std::pin::Pin<&mut Self>, message: Message) -> Result<(), WsError> {
            self.outgoing.as_mut().start_send(message)
        }

        fn poll_flush(
            mut self: std::pin::Pin<&mut Self>,
            context: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), WsError>> {
            self.outgoing.as_mut().poll_flush(context)
        }

        fn poll_close(
            mut self: std::pin::Pin<&mut Self>,
            context: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), WsError>> {
            self.outgoing.as_mut().poll_close(context)
        }
    }

    fn say(far: &Far, channel: u8, text: &str) {
        let mut message = vec![channel];
        message.extend_from_slice(text.as_bytes());
        far.to_us.unbounded_send(Ok(Message::binary(message))).unwrap();
    }

    #[tokio::test]
    async fn outputs_are_whole_once_the_status_came() {
        let (far, mut ends) = connected(true);
        say(&far, STDOUT, "");
        say(&far, STDOUT, "rows: ");
        say(&far, STDERR, "warning");
        say(&far, STDOUT, "7");
        let status = r#"{"status":"Failure","reason":"NonZeroExitCode",
            "details":{"causes":[{"reason":"ExitCode","message":"42"}]}}"#;
        say(&far, STATUS, status);
        let (mut out, mut err) = (String::new(), String::new());
        ends.stdout.read_to_string(&mut out).await.unwrap();
        ends.stderr.read_to_string(&mut err).await.unwrap();
        assert_eq!((out.as_str(), err.as_str()), ("rows: 7", "warning"));
        assert_eq!(ends.outcome.await.unwrap(), Outcome::Exited(42));
    }

    #[tokio::test]
    async fn a_broken_stream_is_no_end_of_output() {
        let (far, mut ends) = connected(true);
        say(&far, STDOUT, "half");
        drop(far.to_us);
        let mut out = String::new();
        let error = ends.stdout.read_to_string(&mut out).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(ends.outcome.await.unwrap(), Outcome::Broken("closed without a status".into()));
    }

    #[tokio::test]
    async fn the_end_of_input_is_told() {
        let (mut far, mut ends) = connected(true);
        ends.stdin.write_all(b"select 1").await.unwrap();
        drop(ends.stdin);
        assert_eq!(far.from_us.next().await.unwrap().into_data(), &b"\0select 1"[..]);
        assert_eq!(far.from_us.next().await.unwrap().into_data(), &[CLOSE, STDIN][..]);
        say(&far, STATUS, r#"{"status":"Success"}"#);
        assert_eq!(ends.outcome.await.unwrap(), Outcome::Exited(0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_fell_silent_is_given_up() {
        let (mut far, ends) = connected(true);
        let pings = tokio::spawn(async move {
            let mut count = 0;
            while let Some(message) = far.from_us.next().await {
                assert!(message.is_ping());
                count += 1;
            }
            (count, far.to_us)
        });
        assert_eq!(ends.outcome.await.unwrap(), Outcome::Broken("no sign of life for 80 s".into()));
        assert_eq!(pings.await.unwrap().0, 3);
    }

    #[tokio::test]
    async fn a_command_that_is_not_there_was_not_run() {
        let (far, ends) = connected(true);
        say(
            &far,
            STATUS,
            r#"{"status":"Failure","reason":"InternalError","message":"exec: \"nope\": not found"}"#,
        );
        assert_eq!(ends.outcome.await.unwrap(), Outcome::NotRun("exec: \"nope\": not found".into()));
    }
}

//! A server that answers wrongly on purpose: the rare replies of an API server, one by one.
//!
//! It speaks just enough HTTP/1.1 for that. What an API server does when it is well is tested
//! against a real one.

pub mod site;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use holdfast_cluster::{Cluster, Connect, Result, Settings};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The server's idea of now, in its `Date` header.
pub const DATE: &str = "Thu, 01 Jan 2026 00:00:00 GMT";

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.target.split('?').next() == Some(path)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// A parameter of the query, as it was sent.
    pub fn query(&self, key: &str) -> Option<&str> {
        let query = self.target.split_once('?')?.1;
        query
            .split('&')
            .find_map(|pair| pair.split_once('=').filter(|(found, _)| *found == key))
            .map(|(_, v)| v)
    }
}

/// What to answer.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Status and body.
    Reply(u16, String),
    /// The same with a header more.
    With(u16, &'static str, &'static str, String),
    /// Promise the whole body, send half, hang up.
    Half(String),
    /// Hang up without a word.
    HangUp,
    /// Send a chunked 200 of these lines, then end the connection in the middle of a chunk.
    Lines(Vec<String>),
    /// Never answer.
    Silence,
}

impl Answer {
    pub fn ok(body: Value) -> Self {
        Answer::Reply(200, body.to_string())
    }

    pub fn status(code: u16, reason: &str, message: &str) -> Self {
        Answer::Reply(code, status(code, reason, message))
    }
}

pub fn status(code: u16, reason: &str, message: &str) -> String {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
        "message": message})
    .to_string()
}

type Script = dyn FnMut(&Asked) -> Answer + Send;

/// A server that follows a script.
pub struct FaultServer {
    pub address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for FaultServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FaultServer {
    /// Starts a server; `/version` is answered well, all else by the script.
    pub async fn start(script: impl FnMut(&Asked) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Mutex<Box<Script>>> = Arc::new(Mutex::new(Box::new(script)));
        let log = asked.clone();
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, script.clone(), log.clone()));
            }
        });
        Self { address, asked, task }
    }

    /// All requests so far, `/version` apart.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// How many requests of a kind there were.
    pub fn count(&self, method: &str, path: &str) -> usize {
        self.asked().iter().filter(|asked| asked.is(method, path)).count()
    }

    pub async fn cluster(&self) -> Cluster {
        self.cluster_with(Settings::default()).await
    }

    pub async fn cluster_with(&self, settings: Settings) -> Cluster {
        connect(&self.address, "token: secret", settings).await.unwrap()
    }
}

/// Connects by way of a kubeconfig with this address and user.
pub async fn connect(address: &str, user: &str, settings: Settings) -> Result<Cluster> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    std::fs::write(&path, kubeconfig(&format!("server: \"{address}\""), user)).unwrap();
    Cluster::connect(Connect { kubeconfig: Some(path), settings, ..Connect::default() }).await
}

/// A kubeconfig with one context, `faulty`.
pub fn kubeconfig(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: faulty\n\
         clusters: [{{name: c, cluster: {{{cluster}}}}}]\n\
         contexts: [{{name: faulty, context: {{cluster: c, user: u}}}}]\n\
         users: [{{name: u, user: {{{user}}}}}]\n"
    )
}

/// Settings for tests that are about giving up.
pub fn impatient(patience: Duration) -> Settings {
    Settings { patience, ..Settings::default() }
}

async fn serve(socket: TcpStream, script: Arc<Mutex<Box<Script>>>, log: Arc<Mutex<Vec<Asked>>>) {
    let mut socket = BufReader::new(socket);
    while let Some(asked) = read(&mut socket).await {
        let answer = if asked.is("GET", "/version") && asked.header("x-script").is_none() {
            Answer::ok(json!({"major": "1", "minor": "36", "gitVersion": "v1.36.0"}))
        } else {
            log.lock().unwrap().push(asked.clone());
            (script.lock().unwrap())(&asked)
        };
        if send(&mut socket, answer).await.is_none() {
            return;
        }
    }
}

async fn read(socket: &mut BufReader<TcpStream>) -> Option<Asked> {
    let first = line(socket).await?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let header = line(socket).await?;
        if header.is_empty() {
            break;
        }
        let (key, value) = header.split_once(':')?;
        headers.push((key.to_owned(), value.trim().to_owned()));
    }
    let mut asked = Asked { method, target, headers, body: Vec::new() };
    let length = asked.header("content-length").map_or(0, |length| length.parse().unwrap());
    asked.body.resize(length, 0);
    socket.read_exact(&mut asked.body).await.ok()?;
    Some(asked)
}

async fn line(socket: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    let read = socket.read_line(&mut line).await.ok()?;
    (read > 0).then(|| line.trim_end().to_owned())
}

/// `None` if the connection is over.
async fn send(socket: &mut BufReader<TcpStream>, answer: Answer) -> Option<()> {
    let head = |code: u16, more: &str| {
        format!("HTTP/1.1 {code} X\r\nDate: {DATE}\r\nContent-Type: application/json\r\n{more}\r\n")
    };
    let sized = |code, more: &str, body: &str| {
        head(code, &format!("{more}Content-Length: {}\r\n", body.len())) + body
    };
    match answer {
        Answer::Reply(code, body) => socket.write_all(sized(code, "", &body).as_bytes()).await.ok(),
        Answer::With(code, key, value, body) => {
            let text = sized(code, &format!("{key}: {value}\r\n"), &body);
            socket.write_all(text.as_bytes()).await.ok()
        }
        Answer::Half(body) => {
            let text = sized(200, "", &body);
            let _ = socket.write_all(&text.as_bytes()[..text.len() - body.len() / 2]).await;
            None
        }
        Answer::HangUp => None,
        Answer::Lines(lines) => {
            let mut text = head(200, "Transfer-Encoding: chunked\r\n");
            for line in lines {
                text += &format!("{:x}\r\n{line}\n\r\n", line.len() + 1);
            }
            let _ = socket.write_all(text.as_bytes()).await;
            None
        }
        Answer::Silence => std::future::pending().await,
    }
}

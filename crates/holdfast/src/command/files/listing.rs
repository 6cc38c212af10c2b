//! Lists files as they come: a volume may hold millions, so nothing is kept.

use holdfast_vault::{Node, NodeKind};
use jiff::Timestamp;
use serde::Serialize;

use crate::output::amount::size;
use crate::output::paint::printable;
use crate::output::{Format, Output};
use crate::yaml;

/// Lines are written together up to so many bytes.
const BUFFER: usize = 64 << 10;

/// One file.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'r> {
    mode: String,
    uid: u32,
    gid: u32,
    size: u64,
    modified: Timestamp,
    path: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
}

/// A list that is being written.
pub(super) struct Listing<'o> {
    output: &'o Output,
    text: String,
    rows: u64,
}

impl<'o> Listing<'o> {
    pub(super) fn new(output: &'o Output) -> Self {
        Self { output, text: String::new(), rows: 0 }
    }

    /// Adds a file under the name that it is to be shown by.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub(super) fn row(&mut self, path: &[u8], node: &Node) -> anyhow::Result<()> {
        let target = String::from_utf8_lossy(&node.link_target).into_owned();
        let row = Row {
            mode: mode(node),
            uid: node.uid,
            gid: node.gid,
            size: node.size,
            modified: node.mtime,
            path: &String::from_utf8_lossy(path),
            target: (node.kind == NodeKind::Symlink).then_some(target),
        };
        match self.output.format() {
            Format::Table | Format::Wide => self.text.push_str(&row.line()),
            Format::Json => {
                self.text.push_str(if self.rows == 0 { "[\n  " } else { ",\n  " });
                self.text.push_str(&serde_json::to_string(&row)?);
            }
            Format::Yaml => self.text.push_str(&yaml::to_string(&[row])?),
        }
        self.rows += 1;
        if self.text.len() >= BUFFER {
            self.output.raw(std::mem::take(&mut self.text).as_bytes())?;
        }
        Ok(())
    }

    /// Ends the list.
    ///
    /// # Errors
    /// As [`Listing::row`].
    pub(super) fn end(mut self) -> anyhow::Result<()> {
        match (self.output.format(), self.rows) {
            (Format::Json | Format::Yaml, 0) => self.text.push_str("[]\n"),
            (Format::Json, _) => self.text.push_str("\n]\n"),
            _ => {}
        }
        self.output.raw(self.text.as_bytes())
    }
}

impl Row<'_> {
    /// As `ls -l` has it, in columns of fixed widths.
    fn line(&self) -> String {
        let owner = format!("{}:{}", self.uid, self.gid);
        let (size, modified) = (size(self.size), self.modified.strftime("%Y-%m-%d %H:%M:%S"));
        let name = printable(self.path);
        let mode = &self.mode;
        let link = match &self.target {
            Some(target) => format!(" -> {}", printable(target)),
            None => String::new(),
        };
        format!("{mode}  {owner:<11}  {size:>9}  {modified}  {name}{link}\n")
    }
}

/// Kind and permissions as `ls -l` writes them.
fn mode(node: &Node) -> String {
    let kind = match node.kind {
        NodeKind::File => '-',
        NodeKind::Dir => 'd',
        NodeKind::Symlink => 'l',
        NodeKind::Device => 'b',
        NodeKind::CharDevice => 'c',
        NodeKind::Fifo => 'p',
        NodeKind::Socket => 's',
        NodeKind::Irregular => '?',
    };
    let bits = node.mode.permissions();
    let mut text = String::from(kind);
    // Per class: its three bits, the special bit that shows in its place of execution, and its letters.
    for (shift, special, letters) in [(6, 0o4000, "sS"), (3, 0o2000, "sS"), (0, 0o1000, "tT")] {
        let has = |bit: u32| bits >> shift & bit != 0;
        text.push(if has(4) { 'r' } else { '-' });
        text.push(if has(2) { 'w' } else { '-' });
        text.push(match (bits & special != 0, has(1)) {
            (true, executable) => letters.chars().nth(usize::from(!executable)).unwrap_or('-'),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use holdfast_vault::Mode;

    use super::*;

    #[test]
    fn modes_are_written_as_ls_does() {
        let written = |kind, st_mode| {
            let mut node = Node::new("x", kind);
            node.mode = Mode::from_unix(st_mode);
            mode(&node)
        };
        assert_eq!(written(NodeKind::File, 0o100644), "-rw-r--r--");
        assert_eq!(written(NodeKind::Dir, 0o041777), "drwxrwxrwt");
        assert_eq!(written(NodeKind::File, 0o104755), "-rwsr-xr-x");
        assert_eq!(written(NodeKind::File, 0o102640), "-rw-r-S---");
        assert_eq!(written(NodeKind::Symlink, 0o120777), "lrwxrwxrwx");
    }
}

//! Nodes between memory and the canonical JSON of the format (that of Go's `encoding/json`).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::name;
use super::node::{ExtendedAttribute, Mode, Node, NodeKind};
use crate::id::{BlobId, encode_hex};

/// Appends the JSON of `node`: fields in the format's order, empty ones left out as Go does.
pub(super) fn write_node(node: &Node, json: &mut Vec<u8>) {
    let mut quoted = String::with_capacity(node.name.len());
    name::quote(&node.name, &mut quoted);
    json.extend_from_slice(b"{\"name\":");
    write_string(&quoted, json);
    field(json, "type");
    write_string(node.kind.as_str(), json);
    number(json, "mode", u64::from(node.mode.0));
    for (key, time) in [("mtime", node.mtime), ("atime", node.atime), ("ctime", node.ctime)] {
        field(json, key);
        write_time(time, json);
    }
    field(json, "uid");
    write_number(u64::from(node.uid), json);
    field(json, "gid");
    write_number(u64::from(node.gid), json);
    text(json, "user", &node.user);
    text(json, "group", &node.group);
    number(json, "inode", node.inode);
    number(json, "device_id", node.device_id);
    number(json, "size", node.size);
    number(json, "links", node.links);
    write_link_target(node, json);
    write_attributes(node, json);
    number(json, "device", node.device);
    field(json, "content");
    write_content(node.content.as_deref(), json);
    if let Some(subtree) = &node.subtree {
        field(json, "subtree");
        write_id(subtree, json);
    }
    text(json, "error", &node.error);
    json.push(b'}');
}

fn write_link_target(node: &Node, json: &mut Vec<u8>) {
    if node.link_target.is_empty() {
        return;
    }
    field(json, "linktarget");
    json.push(b'"');
    let mut valid = true;
    for piece in node.link_target.utf8_chunks() {
        write_escaped(piece.valid(), json);
        // Go replaces each invalid byte, and the exact target follows in another field.
        for _ in piece.invalid() {
            json.extend_from_slice(b"\\ufffd");
            valid = false;
        }
    }
    json.push(b'"');
    if !valid {
        field(json, "linktarget_raw");
        write_base64(&node.link_target, json);
    }
}

fn write_attributes(node: &Node, json: &mut Vec<u8>) {
    if !node.extended_attributes.is_empty() {
        field(json, "extended_attributes");
        for (at, attribute) in node.extended_attributes.iter().enumerate() {
            json.extend_from_slice(if at == 0 { b"[{\"name\":" } else { b",{\"name\":" });
            write_string(&attribute.name, json);
            field(json, "value");
            write_base64(&attribute.value, json);
            json.push(b'}');
        }
        json.push(b']');
    }
    if !node.generic_attributes.is_empty() {
        field(json, "generic_attributes");
        for (at, (key, value)) in node.generic_attributes.iter().enumerate() {
            json.push(if at == 0 { b'{' } else { b',' });
            write_string(key, json);
            json.push(b':');
            json.extend_from_slice(value.as_bytes());
        }
        json.push(b'}');
    }
}

fn write_content(content: Option<&[BlobId]>, json: &mut Vec<u8>) {
    let Some(content) = content else {
        json.extend_from_slice(b"null");
        return;
    };
    json.push(b'[');
    for (at, id) in content.iter().enumerate() {
        if at > 0 {
            json.push(b',');
        }
        write_id(id, json);
    }
    json.push(b']');
}

fn field(json: &mut Vec<u8>, key: &str) {
    json.extend_from_slice(b",\"");
    json.extend_from_slice(key.as_bytes());
    json.extend_from_slice(b"\":");
}

fn number(json: &mut Vec<u8>, key: &str, value: u64) {
    if value != 0 {
        field(json, key);
        write_number(value, json);
    }
}

fn text(json: &mut Vec<u8>, key: &str, value: &str) {
    if !value.is_empty() {
        field(json, key);
        write_string(value, json);
    }
}

fn write_number(mut value: u64, json: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    json.extend_from_slice(&digits[at..]);
}

fn write_id(id: &BlobId, json: &mut Vec<u8>) {
    json.push(b'"');
    json.extend_from_slice(encode_hex(id.as_bytes(), &mut [0; 64]).as_bytes());
    json.push(b'"');
}

fn write_base64(bytes: &[u8], json: &mut Vec<u8>) {
    json.push(b'"');
    json.extend_from_slice(BASE64.encode(bytes).as_bytes());
    json.push(b'"');
}

/// RFC 3339 with as many fraction digits as needed, years limited to 0000–9999 as Go demands.
fn write_time(time: Timestamp, json: &mut Vec<u8>) {
    const YEAR_0: i64 = -62_167_219_200;
    const YEAR_10000: i64 = 253_402_300_800;
    let second = time.as_second();
    let time = if second < YEAR_0 {
        Timestamp::from_second(YEAR_0).unwrap_or(time)
    } else if second >= YEAR_10000 {
        Timestamp::from_second(YEAR_10000 - 86_400 * 2).unwrap_or(time)
    } else {
        time
    };
    let mut text = String::with_capacity(40);
    // Writing to a String cannot fail.
    let _ = write!(text, "\"{time}\"");
    json.extend_from_slice(text.as_bytes());
}

/// A JSON string as Go's encoder writes it, which also escapes `<`, `>`, `&`, U+2028 and U+2029.
fn write_string(value: &str, json: &mut Vec<u8>) {
    json.push(b'"');
    write_escaped(value, json);
    json.push(b'"');
}

fn write_escaped(value: &str, json: &mut Vec<u8>) {
    let bytes = value.as_bytes();
    let mut start = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            8 => b"\\b",
            12 => b"\\f",
            b'<' => b"\\u003c",
            b'>' => b"\\u003e",
            b'&' => b"\\u0026",
            0..0x20 => &control(byte),
            0xe2 if bytes[at..].starts_with(b"\xe2\x80\xa8") => b"\\u2028",
            0xe2 if bytes[at..].starts_with(b"\xe2\x80\xa9") => b"\\u2029",
            _ => continue,
        };
        json.extend_from_slice(&bytes[start..at]);
        json.extend_from_slice(escape);
        start = at + if byte == 0xe2 { 3 } else { 1 };
    }
    json.extend_from_slice(&bytes[start..]);
}

fn control(byte: u8) -> [u8; 6] {
    let digit = b"0123456789abcdef";
    [b'\\', b'u', b'0', b'0', digit[usize::from(byte >> 4)], digit[usize::from(byte & 15)]]
}

#[derive(Deserialize)]
struct WireTree<'a> {
    #[serde(borrow)]
    nodes: Option<Vec<WireNode<'a>>>,
}

#[derive(Deserialize)]
struct WireNode<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    mode: u32,
    mtime: Option<Timestamp>,
    atime: Option<Timestamp>,
    ctime: Option<Timestamp>,
    #[serde(default)]
    uid: u32,
    #[serde(default)]
    gid: u32,
    #[serde(default)]
    user: String,
    #[serde(default)]
    group: String,
    #[serde(default)]
    inode: u64,
    #[serde(default)]
    device_id: u64,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    links: u64,
    #[serde(borrow)]
    linktarget: Option<Cow<'a, str>>,
    #[serde(borrow)]
    linktarget_raw: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    extended_attributes: Vec<WireAttribute<'a>>,
    #[serde(default, borrow)]
    generic_attributes: BTreeMap<String, &'a RawValue>,
    #[serde(default)]
    device: u64,
    content: Option<Vec<BlobId>>,
    subtree: Option<BlobId>,
    #[serde(default)]
    error: String,
}

#[derive(Deserialize)]
struct WireAttribute<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    value: Option<Cow<'a, str>>,
}

/// Why a text is no directory.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotATree {
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("`{0}` is not a quoted name")]
    Name(String),
    #[error("`{0}` is not a type of node")]
    Kind(String),
    #[error("a field is not base64: {0}")]
    Base64(#[from] base64::DecodeError),
}

/// Reads the nodes of a directory.
pub(super) fn read_tree(json: &[u8]) -> Result<Vec<Node>, NotATree> {
    let tree: WireTree<'_> = serde_json::from_slice(json)?;
    tree.nodes.unwrap_or_default().into_iter().map(WireNode::into_node).collect()
}

impl WireNode<'_> {
    fn into_node(self) -> Result<Node, NotATree> {
        let name = name::unquote(&self.name).ok_or_else(|| NotATree::Name(self.name.to_string()))?;
        let kind = NodeKind::ALL.iter().find(|(_, word)| *word == self.kind);
        let kind = kind.ok_or_else(|| NotATree::Kind(self.kind.to_string()))?.0;
        let link_target = match (self.linktarget_raw, self.linktarget) {
            (Some(raw), _) => BASE64.decode(raw.as_bytes())?,
            (None, target) => target.unwrap_or_default().into_owned().into_bytes(),
        };
        let attributes = self.extended_attributes.into_iter().map(WireAttribute::decode);
        let generic = self.generic_attributes.into_iter();
        Ok(Node {
            name,
            kind,
            mode: Mode(self.mode),
            mtime: self.mtime.unwrap_or(Timestamp::UNIX_EPOCH),
            atime: self.atime.unwrap_or(Timestamp::UNIX_EPOCH),
            ctime: self.ctime.unwrap_or(Timestamp::UNIX_EPOCH),
            uid: self.uid,
            gid: self.gid,
            user: self.user,
            group: self.group,
            inode: self.inode,
            device_id: self.device_id,
            size: self.size,
            links: self.links,
            link_target,
            extended_attributes: attributes.collect::<Result<_, _>>()?,
            generic_attributes: generic.map(|(key, value)| (key, value.get().to_owned())).collect(),
            device: self.device,
            content: self.content,
            subtree: self.subtree,
            error: self.error,
        })
    }
}

impl WireAttribute<'_> {
    fn decode(self) -> Result<ExtendedAttribute, NotATree> {
        let value = BASE64.decode(self.value.unwrap_or_default().as_bytes())?;
        Ok(ExtendedAttribute { name: self.name.into_owned(), value })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Tree;
    use super::*;

    fn json(node: &Node) -> String {
        let mut json = Vec::new();
        write_node(node, &mut json);
        String::from_utf8(json).unwrap()
    }

    #[test]
    fn fields_come_in_the_order_and_form_of_the_format() {
        let mut node = Node::new("a<b\u{2028}", NodeKind::File);
        node.mode = Mode(0o644);
        node.mtime = "2026-11-22T10:15:00.120Z".parse().unwrap();
        node.size = 3;
        node.links = 1;
        node.content = Some(vec![BlobId::of(b"abc")]);
        assert_eq!(
            json(&node),
            concat!(
                r#"{"name":"a\u003cb\\u2028","type":"file","mode":420,"mtime":"2026-11-22T10:15:00.12Z","#,
                r#""atime":"1970-01-01T00:00:00Z","ctime":"1970-01-01T00:00:00Z","uid":0,"gid":0,"size":3,"links":1,"#,
                r#""content":["ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"]}"#
            )
        );
        let mut link = Node::new("l", NodeKind::Symlink);
        link.link_target = b"x\xff".to_vec();
        assert!(json(&link).contains(r#""linktarget":"x\ufffd","linktarget_raw":"eP8=","content":null}"#));
    }

    #[test]
    fn text_that_is_no_directory_is_refused() {
        for bad in [
            "",
            "{}x",
            "[]",
            r#"{"nodes":[{"name":"a"}]}"#,
            r#"{"nodes":[{"name":"a","type":"portal"}]}"#,
            r#"{"nodes":[{"name":"a\\q","type":"file"}]}"#,
            r#"{"nodes":[{"name":"a","type":"file","size":-1}]}"#,
            r#"{"nodes":[{"name":"../a","type":"file"}]}"#,
            r#"{"nodes":[{"name":"..","type":"dir"}]}"#,
            r#"{"nodes":[{"name":"a\\x00","type":"file"}]}"#,
        ] {
            assert!(Tree::from_json(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Tree::from_json(br#"{"future":1,"nodes":null}"#).unwrap().nodes.is_empty());
    }

    prop_compose! {
        fn nodes()(
            name in proptest::collection::vec(any::<u8>().prop_filter("separator", |b| *b != 0 && *b != b'/'), 1..20),
            kind in proptest::sample::select(NodeKind::ALL.map(|(kind, _)| kind).to_vec()),
            mode: u32, seconds in -70_000_000_000i64..250_000_000_000, nanos in 0i32..1_000_000_000,
            uid: u32, user in ".{0,8}", size: u64, link_target in proptest::collection::vec(any::<u8>(), 0..12),
            xattr in ".{1,8}", value in proptest::collection::vec(any::<u8>(), 0..8), subtree: Option<[u8; 32]>,
        ) -> Node {
            let mut node = Node::new(name, kind);
            (node.mode, node.uid, node.user, node.size) = (Mode(mode), uid, user, size);
            node.mtime = Timestamp::new(seconds, nanos).unwrap().max(Timestamp::from_second(-62_167_219_200).unwrap());
            node.link_target = link_target;
            node.extended_attributes = vec![ExtendedAttribute { name: xattr, value }];
            node.subtree = subtree.map(BlobId::from_bytes);
            node
        }
    }

    proptest! {
        #[test]
        fn every_node_comes_back(nodes in proptest::collection::vec(nodes(), 0..5)) {
            let mut nodes: Vec<Node> = nodes;
            nodes.retain(|node| node.name != b"." && node.name != b"..");
            nodes.sort_by(|a, b| a.name.cmp(&b.name));
            nodes.dedup_by(|a, b| a.name == b.name);
            let tree = Tree { nodes };
            prop_assert_eq!(Tree::from_json(&tree.to_json().unwrap()).unwrap(), tree);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Tree::from_json(&bytes);
        }
    }
}

//! A bare list: pages taken from the server as bytes, of which only the continue token is looked at.

use anyhow::Result;
use kube::Client;
use serde::Deserialize;

use super::OwnWork;
use super::shape::Shape;
use crate::bench::measure::Cost;

/// Objects asked for at a time.
pub const PAGE: usize = 500;

#[derive(Deserialize)]
struct Page {
    metadata: PageMetadata,
}

#[derive(Deserialize)]
struct PageMetadata {
    #[serde(default, rename = "continue")]
    next: String,
}

/// Lists the Secrets of all namespaces of the shape, one page after the other.
pub async fn list(client: &Client, shape: &Shape) -> Result<Cost> {
    let work = OwnWork::begin();
    for namespace in shape.all_namespaces() {
        pages(client, &namespace, |_| ()).await?;
    }
    Ok(work.cost())
}

/// How many Secrets with our label there are.
pub async fn count(client: &Client, shape: &Shape) -> Result<usize> {
    let mut found = 0;
    for namespace in shape.all_namespaces() {
        pages(client, &namespace, |text| found += text.matches("\"name\":\"secret-").count()).await?;
    }
    Ok(found)
}

async fn pages(client: &Client, namespace: &str, mut seen: impl FnMut(&str)) -> Result<()> {
    let mut next = String::new();
    loop {
        let path = format!("/api/v1/namespaces/{namespace}/secrets?limit={PAGE}&continue={next}");
        let text = client.request_text(http::Request::get(path).body(Vec::new())?).await?;
        seen(&text);
        let page: Page = serde_json::from_str(&text)?;
        next = page.metadata.next;
        if next.is_empty() {
            return Ok(());
        }
    }
}

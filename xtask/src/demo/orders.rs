//! The shop's orders: written at a steady rate, with every acknowledgement remembered, and proved afterwards.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::ground::Place;

/// Namespace of the shop.
pub const SHOP: &str = "shop";

/// An order that the database has acknowledged.
#[derive(Debug, Clone, Copy)]
pub struct Acknowledged {
    /// Its number.
    pub id: i64,
}

/// A client that places orders until it is stopped or its site dies.
pub struct Customer {
    psql: Child,
    stop: Arc<AtomicBool>,
    last: Arc<Mutex<Option<Acknowledged>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Customer {
    /// Places `per_second` orders at a place through one session of `psql`.
    pub fn start(place: &Place, per_second: u32) -> Result<Self> {
        let mut psql = place
            .kubectl(&["exec", "-i", "-n", SHOP, "db-0", "-c", "postgres", "--"])
            .args(["psql", "-U", "postgres", "-d", "shop", "-XqAt"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start the customer's psql")?;
        let (mut orders, replies) = (psql.stdin.take(), psql.stdout.take());
        let stop = Arc::new(AtomicBool::new(false));
        let last = Arc::new(Mutex::new(None));
        let (stopped, seen) = (Arc::clone(&stop), Arc::clone(&last));
        let writer = thread::spawn(move || {
            while let Some(orders) = orders.as_mut().filter(|_| !stopped.load(Ordering::Relaxed)) {
                if orders.write_all(b"insert into orders (item) values ('towel') returning id;\n").is_err() {
                    return; // the site is gone
                }
                thread::sleep(Duration::from_secs(1) / per_second);
            }
        });
        let reader = thread::spawn(move || {
            let lines = replies.into_iter().flat_map(|replies| BufReader::new(replies).lines());
            for id in lines.map_while(Result::ok).filter_map(|line| line.parse().ok()) {
                *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(Acknowledged { id });
            }
        });
        Ok(Self { psql, stop, last, threads: vec![writer, reader] })
    }

    /// The newest order that the database has acknowledged.
    pub fn last(&self) -> Option<Acknowledged> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the client and gives the last acknowledged order.
    pub fn end(mut self) -> Option<Acknowledged> {
        self.stop.store(true, Ordering::Relaxed);
        // It may have ended by itself when its site died.
        let _ = self.psql.kill();
        let _ = self.psql.wait();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        self.last()
    }
}

/// Count, highest number and digest of the orders up to a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// How many there are.
    pub count: i64,
    /// The highest number.
    pub last: i64,
    /// MD5 over all numbers and items in order.
    pub digest: String,
}

/// Asks the database at a place for its orders up to number `upto`.
pub fn ledger(place: &Place, upto: i64) -> Result<Ledger> {
    let sql = format!(
        "select count(*), coalesce(max(id), 0), \
         coalesce(md5(string_agg(id || ':' || item, ',' order by id)), '-') from orders where id <= {upto}"
    );
    let said = place.query(&sql)?;
    let fields: Vec<&str> = said.trim().split('|').collect();
    ensure!(fields.len() == 3, "the database answered `{}`", said.trim());
    Ok(Ledger { count: fields[0].parse()?, last: fields[1].parse()?, digest: fields[2].to_owned() })
}

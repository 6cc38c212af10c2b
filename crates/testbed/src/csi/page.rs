//! Lists in pages: the token of the next page is how many entries came before it.

use tonic::Status;

/// The entries from `token` on, at most `limit` unless that is 0, and the token of what follows.
pub(super) fn page<T>(all: Vec<T>, token: &str, limit: i32) -> Result<(Vec<T>, String), Status> {
    let start = if token.is_empty() { Some(0) } else { token.parse().ok().filter(|n| *n <= all.len()) };
    let start = start.ok_or_else(|| Status::aborted(format!("starting_token {token} is not one of ours")))?;
    let limit = usize::try_from(limit)
        .map_err(|_| Status::invalid_argument(format!("max_entries is {limit}, below zero")))?;
    let end = if limit == 0 { all.len() } else { all.len().min(start + limit) };
    let next = if end < all.len() { end.to_string() } else { String::new() };
    Ok((all.into_iter().skip(start).take(end - start).collect(), next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_without_gap() {
        let (first, token) = page(vec![1, 2, 3], "", 2).unwrap();
        let (second, end) = page(vec![1, 2, 3], &token, 2).unwrap();
        assert_eq!((first, second, end.as_str()), (vec![1, 2], vec![3], ""));
        assert_eq!(page(vec![1], "wrong", 0).unwrap_err().code(), tonic::Code::Aborted);
    }
}

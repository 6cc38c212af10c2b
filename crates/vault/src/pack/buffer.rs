//! A bounded set of pack-sized buffers, reused for ever: the bulk of a writer's memory.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// At most `limit` buffers exist at once; who wants one more waits until an upload gives one back.
pub(crate) struct BufferPool {
    state: Mutex<State>,
    returned: Condvar,
    limit: usize,
    /// Bytes of one buffer.
    size: usize,
}

#[derive(Default)]
struct State {
    free: Vec<Vec<u8>>,
    in_use: usize,
    closed: bool,
}

impl BufferPool {
    /// A pool of up to `limit` buffers of `size` bytes.
    pub(crate) fn new(limit: usize, size: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), returned: Condvar::new(), limit, size })
    }

    /// An empty buffer, once there is one; `None` if the pool was closed.
    pub(crate) fn acquire(self: &Arc<Self>) -> Option<Buffer> {
        let mut state = self.lock();
        while state.in_use >= self.limit && !state.closed {
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return None;
        }
        state.in_use += 1;
        let bytes = state.free.pop().unwrap_or_else(|| Vec::with_capacity(self.size));
        Some(Buffer { bytes, pool: Arc::clone(self) })
    }

    /// Wakes everyone who waits, with nothing: no more packs will be sent.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.returned.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One buffer; goes back to its pool when dropped.
pub(crate) struct Buffer {
    pub(super) bytes: Vec<u8>,
    pool: Arc<BufferPool>,
}

impl Buffer {
    /// Bytes that it has room for.
    pub(super) fn size(&self) -> usize {
        self.pool.size
    }

    /// The content as shared bytes; the buffer goes back when the last share is dropped.
    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        let mut state = self.pool.lock();
        state.in_use -= 1;
        // One that a huge directory has blown up is not kept.
        if bytes.capacity() <= self.pool.size {
            bytes.clear();
            state.free.push(bytes);
        }
        drop(state);
        self.pool.returned.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_limit_exist_and_returned_ones_are_reused() {
        let pool = BufferPool::new(2, 64);
        let (first, second) = (pool.acquire().unwrap(), pool.acquire().unwrap());
        let address = first.bytes.as_ptr();
        let waiter = std::thread::spawn({
            let pool = Arc::clone(&pool);
            move || pool.acquire().unwrap().bytes.as_ptr() as usize
        });
        let shared = first.into_bytes();
        let again = shared.clone();
        drop(shared);
        drop(again);
        assert_eq!(waiter.join().unwrap(), address as usize);
        drop(second);
        assert_eq!(pool.lock().free.len(), 2);
    }

    #[test]
    fn closing_releases_those_who_wait() {
        let pool = BufferPool::new(1, 64);
        let _held = pool.acquire().unwrap();
        let waiter = std::thread::spawn({
            let pool = Arc::clone(&pool);
            move || pool.acquire().is_none()
        });
        pool.close();
        assert!(waiter.join().unwrap());
    }
}

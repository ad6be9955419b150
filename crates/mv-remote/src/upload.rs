//! Writing a large object: in parts that are read by the caller's thread and sent side by side.
//! Nothing shows before the last step, and parts that no object came of are taken back.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mv_store::{Error, Fault, Result, Source, Task, Transport};
use object_store::{MultipartUpload, ObjectStoreExt, PutOptions, PutPayload};

use crate::bucket::Bucket;
use crate::client::{Seen, watched};
use crate::engine::Pending;

/// The smallest part; whatever is no larger is sent whole.
const PART: u64 = 8 << 20;

/// Buckets take 10,000 parts.
const MOST_PARTS: u64 = 9_000;

/// Bytes that are sent or about to be, at most, unless one part is larger.
const IN_FLIGHT: u64 = 40 << 20;

/// What is handed to the connection at once, so that progress shows.
const PIECE: usize = 256 << 10;

/// How often a cancelled caller is noticed.
const TURN: Duration = Duration::from_millis(50);

/// How long taking back what was sent may take.
const LEAVE: Duration = Duration::from_secs(10);

/// A request that is under way.
type Going<T> = Pending<(object_store::Result<T>, Seen)>;

/// Writes the source under the name.
pub(crate) fn upload(bucket: &Bucket, name: &str, source: &dyn Source, task: &Task) -> Result<()> {
    let len = source.len();
    let path = bucket.path(name)?;
    task.check()?;
    let store = Arc::clone(&bucket.stores.patient);
    if len <= PART {
        let payload = piece(source, 0, len)?;
        let put = async move { store.put_opts(&path, payload, PutOptions::default()).await };
        finish(bucket, name, bucket.engine.begin(watched(put)), task)?;
        task.add(len);
        return Ok(());
    }
    let mut upload = bucket.must(name, async move { store.put_multipart(&path).await })?;
    if let Err(error) = send(bucket, name, source, task, upload.as_mut()) {
        take_back(bucket, upload);
        return Err(error);
    }
    let complete = async move {
        let outcome = upload.complete().await;
        (outcome, upload)
    };
    let Some(((outcome, upload), seen)) = bucket.engine.run(watched(complete)) else {
        return Err(bucket.blame.closed());
    };
    let Err(error) = outcome else { return Ok(()) };
    // Nobody else writes this name: if it is there in this length, the answer got lost.
    if bucket.size(name).ok().flatten() == Some(len) {
        return Ok(());
    }
    take_back(bucket, upload);
    Err(match bucket.blame.explain(name, &error, &seen) {
        Error::Exists { .. } | Error::Absent { .. } => {
            bucket.blame.remote(Fault::Unreachable, "the parts could not be put together")
        }
        other => other,
    })
}

/// Sends all parts.
fn send(
    bucket: &Bucket,
    name: &str,
    source: &dyn Source,
    task: &Task,
    upload: &mut dyn MultipartUpload,
) -> Result<()> {
    let len = source.len();
    let part = part_len(len);
    let lanes = usize::try_from(IN_FLIGHT / part).unwrap_or(1).clamp(1, 4);
    let mut going: VecDeque<(u64, Going<()>)> = VecDeque::new();
    for start in (0..len).step_by(usize::try_from(part).unwrap_or(usize::MAX)) {
        if going.len() == lanes
            && let Some((sent, first)) = going.pop_front()
        {
            finish(bucket, name, first, task)?;
            task.add(sent);
        }
        task.check()?;
        let size = part.min(len - start);
        let sending = upload.put_part(piece(source, start, size)?);
        going.push_back((size, bucket.engine.begin(watched(sending))));
    }
    for (sent, next) in going {
        finish(bucket, name, next, task)?;
        task.add(sent);
    }
    Ok(())
}

/// How long parts are: all but the last the same, and few enough.
fn part_len(len: u64) -> u64 {
    PART.max(len.div_ceil(MOST_PARTS).next_multiple_of(1 << 20))
}

/// Reads one part.
fn piece(source: &dyn Source, start: u64, len: u64) -> Result<PutPayload> {
    let wanted = usize::try_from(len)
        .map_err(|_| Error::Invalid { what: "part", detail: format!("{len} bytes") })?;
    let mut bytes = vec![0; wanted];
    source.read_at(&mut bytes, start)?;
    let bytes = Bytes::from(bytes);
    let cuts = (0..wanted).step_by(PIECE);
    Ok(cuts.map(|at| bytes.slice(at..wanted.min(at + PIECE))).collect())
}

/// Waits for a request, or stops it when the caller is asked to stop.
fn finish<T>(bucket: &Bucket, name: &str, going: Going<T>, task: &Task) -> Result<T> {
    loop {
        task.check()?;
        match going.wait_for(TURN) {
            Ok(None) => {}
            Ok(Some((outcome, seen))) => {
                return outcome.map_err(|e| bucket.blame.explain(name, &e, &seen));
            }
            Err(_) => return Err(bucket.blame.closed()),
        }
    }
}

/// Takes back the parts that were sent. That it fails costs room in the bucket until its own rules
/// clear up, and nothing else.
fn take_back(bucket: &Bucket, mut upload: Box<dyn MultipartUpload>) {
    drop(bucket.engine.begin(watched(async move { upload.abort().await })).wait_for(LEAVE));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_few_enough_however_large_the_object_is() {
        assert_eq!(part_len(PART + 1), PART);
        for len in [4u64 << 30, 100 << 30, 5 << 40] {
            assert!(len.div_ceil(part_len(len)) <= 10_000);
        }
        assert!((4u64 << 30).div_ceil(part_len(4 << 30)) <= 512);
    }
}

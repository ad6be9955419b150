//! Against a real server, when there is one: `just test-s3` starts it and sets these variables.

use std::env;

use mv_remote::Settings;
use mv_store::{Fault, Nonces, Progress, probe};

use crate::bench::{Ramp, fault, task};
use crate::conformance::conforms;

/// A remote in the bucket of the server, with a prefix of its own.
fn open(prefix: &str) -> std::sync::Arc<dyn mv_store::Transport> {
    let bucket = env::var("MV_TEST_S3_BUCKET").unwrap();
    let endpoint = env::var("MV_TEST_S3_ENDPOINT").unwrap();
    let settings = Settings::new(move |name| match name {
        "AWS_ENDPOINT_URL" => Some(endpoint.clone()),
        other => env::var(other).ok(),
    });
    mv_remote::open(&format!("s3://{bucket}/{prefix}"), &settings).unwrap()
}

#[test]
#[ignore = "needs MV_TEST_S3_ENDPOINT: run `just test-s3`"]
fn a_real_server_conforms() {
    conforms(open("conforms").as_ref(), &Nonces::from_seed([2; 32]));
}

#[test]
#[ignore = "needs MV_TEST_S3_ENDPOINT: run `just test-s3`"]
fn a_real_server_takes_a_large_upload_from_several_threads() {
    let (remote, nonces) = (open("large"), Nonces::from_seed([3; 32]));
    std::thread::scope(|scope| {
        for n in 0..3u64 {
            let (remote, nonces) = (&remote, &nonces);
            scope.spawn(move || {
                let (name, source) = (format!("packs/{n}"), Ramp((40 << 20) + n));
                let progress = Progress::new();
                remote.upload(&name, &source, &nonces.next(), &task(&progress)).unwrap();
                let (end, len) = remote.read_end(&name, 1000).unwrap();
                let bytes = source.bytes();
                assert!(len == source.0 && end == bytes[bytes.len() - 1000..]);
                assert!(remote.read(&name, len).unwrap() == bytes);
                remote.delete(&name).unwrap();
            });
        }
    });
}

#[test]
#[ignore = "needs a server that ignores conditions: run `just test-s3`"]
fn a_real_server_that_ignores_conditions_is_refused() {
    let (remote, nonces) = (open("refused"), Nonces::from_seed([4; 32]));
    let said = fault(probe(remote.as_ref(), &nonces), Fault::Unfit);
    assert!(said.contains("does not honour If-None-Match"), "{said}");
    assert_eq!(remote.list("tmp").unwrap(), Vec::<String>::new());
}

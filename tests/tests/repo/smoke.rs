//! x
use mv_tests::Sandbox;
#[test]
fn a_sandbox_works() {
    let sandbox = Sandbox::new();
    sandbox.write("a/b.txt", "hello");
    sandbox.commit("first");
    let status = sandbox.json(&["status"]);
    assert_eq!(status["clean"], true);
    sandbox.sound();
    sandbox.mv(&["checkout", "nope"]).clean_fail(2);
}

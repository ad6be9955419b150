#!/bin/sh
# Shows that the tests of the protocol have teeth: each of its six rules is broken in a copy of the
# sources, and the search must find a run that loses data.
#
#   tests/scripts/mutate_protocol.sh [RULE...]
#
# RULE is one of: base names tombstone chain own confirm; all when none is given. The copies lie in a
# temporary directory. CARGO_TARGET_DIR is used if it is set, so that a second run builds little; it
# must not be the one of the sources, whose next build would take broken crates for its own.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: "${CARGO_TARGET_DIR:=$work/target}"
export CARGO_TARGET_DIR
copy=$work/mv

# edit FILE OLD NEW: replaces the one place where OLD stands.
edit() {
    OLD=$2 NEW=$3 perl -0pi -e '
        my $n = s/\Q$ENV{OLD}\E/$ENV{NEW}/g;
        die "\n`$ENV{OLD}` stands " . ($n || 0) . " times in $ARGV\n" if $n != 1;
    ' "$copy/$1"
}

break_rule() {
    case $1 in
    base) # after a lost race, what is relied upon is not looked up again
        edit crates/mv-repo/src/push/mod.rs \
            'remote.refresh(session)?;' \
            'let relied_upon = remote.store.clone();
        remote.refresh(session)?;
        remote.store = relied_upon;'
        ;;
    names) # a pack's name follows from its content alone
        edit crates/mv-store/src/transfer.rs \
            'PackCopy::new(&*file, pack.id, &self.nonces.next(), &checking)' \
            'PackCopy::new(&*file, pack.id, &[7; 16], &checking)'
        ;;
    tombstone) # what no record names is deleted without a word
        edit crates/mv-repo/src/maintain.rs \
            'state.deleting.extend(orphans.map(retire));' 'drop(orphans);'
        edit crates/mv-repo/src/maintain.rs \
            'for retired in &remote.state()?.deleting {' \
            'for pack in orphans {
        remote.transport.delete(&pack.file_name())?;
    }
    for retired in &remote.state()?.deleting {'
        ;;
    chain) # a plan is carried out on top of whatever record is the newest
        edit crates/mv-repo/src/maintain.rs \
            'let base = remote.state()?.clone();' \
            'remote.refresh(session)?;
    let base = remote.state()?.clone();'
        ;;
    own) # after a lost race, a pusher does not ask whether its own packs are still there
        edit crates/mv-repo/src/remote/sent.rs \
            '!retired && !live && remote.transport.size(&pack.file_name())?.is_some()' \
            '!retired && !live'
        ;;
    confirm) # a tombstone goes although the pack may still be there
        edit crates/mv-repo/src/maintain.rs \
            'if transport.size(&retired.pack.file_name())?.is_none() {' \
            'if transport.size(&retired.pack.file_name()).is_ok() {'
        ;;
    *)
        echo "no rule \`$1\`" >&2
        exit 2
        ;;
    esac
}

missed=0
for rule in ${*:-base names tombstone chain own confirm}; do
    rm -rf "$copy"
    mkdir "$copy"
    (cd "$root" && git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$copy")
    break_rule "$rule"
    (cd "$copy" && cargo test -q --locked -p mv-tests --test protocol --no-run) > "$work/build" 2>&1 || {
        cat "$work/build" >&2
        exit 1
    }
    if (cd "$copy" && RUST_BACKTRACE=0 cargo test -q --locked -p mv-tests --test protocol -- collect --nocapture) \
        > "$work/log" 2>&1; then
        echo "$rule: NOT found"
        missed=1
    else
        echo "$rule: found"
        grep -E '^(test .*FAILED|.* schedules \(|.* after [0-9]+ steps:)' "$work/log" | sed 's/^/    /'
    fi
done
exit $missed

#![no_main]

mv_fuzz::target!("merge_note");

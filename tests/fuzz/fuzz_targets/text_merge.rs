#![no_main]

mv_fuzz::target!("text_merge");

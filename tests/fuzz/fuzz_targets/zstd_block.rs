#![no_main]

mv_fuzz::target!("zstd_block");

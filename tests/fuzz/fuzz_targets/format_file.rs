#![no_main]

mv_fuzz::target!("format_file");

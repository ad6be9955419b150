#![no_main]

mv_fuzz::target!("chunk_list");

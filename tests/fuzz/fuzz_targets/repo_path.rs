#![no_main]

mv_fuzz::target!("repo_path");

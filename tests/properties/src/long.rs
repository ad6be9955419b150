//! Inputs of hundreds of kilobytes, made to cost time, stack or memory: longer than what a fuzzer tries.

/// One such input.
#[derive(Clone, Debug)]
pub struct Long {
    /// The target that it is for.
    pub target: &'static str,
    /// What there is so much of.
    pub what: &'static str,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// All of them.
#[must_use]
pub fn long_inputs() -> Vec<Long> {
    let mut all = Vec::new();
    let mut add = |target, what, bytes: Vec<u8>| all.push(Long { target, what, bytes });
    let deep =
        |open: &str, close: &str, times: usize| [open.repeat(times), close.repeat(times)].concat();
    let many =
        |times: usize, one: &dyn Fn(usize) -> String| (0..times).map(one).collect::<String>();
    let list = |times: usize, one: &dyn Fn(usize) -> String| {
        (0..times).map(one).collect::<Vec<_>>().join(",")
    };
    let patterns = |list: &str| format!("[[component]]\nname = \"data\"\npatterns = [{list}]\n");

    add("values_toml", "dots", format!("{}a = 1", "a.".repeat(50_000)).into());
    add("values_toml", "brackets", format!("a = {}", deep("[", "]", 50_000)).into());
    add("values_toml", "tables", many(10_000, &|n| format!("[[t.a{n}]]\n")).into());
    add("values_json", "brackets", format!("{{\"a\":{}}}", deep("[", "]", 50_000)).into());
    add("values_json", "words", format!("[{}]", "NaN,".repeat(50_000)).into());
    add("values_yaml", "brackets", deep("[", "]", 50_000).into());
    add("values_yaml", "dashes", "- ".repeat(100_000).into());
    add("values_yaml", "question marks", "? ".repeat(100_000).into());
    add("values_yaml", "colons", "a: ".repeat(100_000).into());
    add("values_yaml", "aliases", format!("a: &a [1]\nb: [{}]", "*a,".repeat(50_000)).into());
    add("values_yaml", "anchors", many(10_000, &|n| format!("k{n}: &a{n} 1\n")).into());

    add(
        "environment",
        "brackets",
        format!("{{\"format\":1,\"x\":{}}}", deep("[", "]", 50_000)).into(),
    );
    let packages = list(10_000, &|n| format!("\"p{n}\":\"1\""));
    let conda = list(10_000, &|n| format!("\"c{n}\":{{\"version\":\"1\",\"channel\":\"x{n}\"}}"));
    let both = format!("{{\"format\":1,\"packages\":{{{packages}}},\"conda\":{{{conda}}}}}");
    add("environment", "packages", both.into());

    add(
        "project_config",
        "dots",
        format!("[stage.x.require]\n{}a = \">= 1\"", "a.".repeat(50_000)).into(),
    );
    add(
        "project_config",
        "patterns",
        patterns(&list(20_000, &|n| format!("\"*a?{n}[b]\""))).into(),
    );
    add("project_config", "choices", patterns(&format!("\"{}\"", "{a,b}".repeat(20_000))).into());
    add("project_config", "braces", patterns(&format!("\"{}\"", deep("{a,", "}", 50_000))).into());
    add("project_config", "blocks", many(5_000, &|n| patterns(&format!("\"!a{n}*\""))).into());

    add("ignore_file", "lines", many(50_000, &|n| format!("*a?{n}[b]\n")).into());
    add("ignore_file", "plain lines", many(100_000, &|n| format!("{n}\n")).into());
    add("ignore_file", "stars", "*a".repeat(100_000).into());
    add("ignore_file", "braces", deep("{a,", "}", 100_000).into());
    add("ignore_file", "classes", "[!a-z]\n".repeat(50_000).into());

    let id = "ab".repeat(32);
    let head = format!(
        "merge\nours {id}\ntheirs {id}\nleft {id}\nafter 1\nlabel-ours a\nlabel-theirs b\n"
    );
    add(
        "merge_note",
        "conflicts",
        (head + &"conflict text open - - - \\x01\\x02\n".repeat(10_000)).into(),
    );

    add("safetensors", "brackets", format!("{{\"a\":{}}}", deep("[", "]", 50_000)).into());
    let tensor = |n| format!("\"{n}\":{{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}");
    add("safetensors", "tensors", format!("{{{}}}", list(5_000, &tensor)).into());
    add("npy", "parentheses", deep("(", ")", 30_000).into());
    for target in ["pickle", "torch"] {
        add(target, "marks", "(".repeat(200_000).into());
        add(target, "lists", [&b"]".repeat(100_000)[..], &b"a".repeat(99_999), b"."].concat());
        add(target, "references", [b"]\x94", &b"]h\0ah\0".repeat(30_000)[..], b"."].concat());
        add(target, "copies", [b"K\x01\x94", &b"22\x87\x94".repeat(250)[..], b"."].concat());
    }
    add("onnx", "graphs", ":".repeat(200_000).into());
    add("parquet", "structures", vec![0x1c; 200_000]);
    add("layout", "graphs", [b"\x01", ":".repeat(200_000).as_bytes()].concat());
    add("layout", "marks", [b"\x02", "(".repeat(200_000).as_bytes()].concat());
    add("gguf", "zeros", [b"GGUF\x03\0\0\0", &[0; 200_000][..]].concat());

    let columns = "a,".repeat(100_000);
    add("text_table", "columns", [b"\0", columns.as_bytes(), b"\xff", columns.as_bytes()].concat());
    let json = format!("{}1{}", "{\"a\":".repeat(20_000), "}".repeat(20_000));
    add("text_table", "braces", [b"\x02", json.as_bytes()].concat());
    let keys = many(20_000, &|n| format!("{{\"{n}\":1}}\n"));
    add("text_table", "keys", [b"\x02", keys.as_bytes(), b"\xff{}"].concat());
    let equal = ["x\n".repeat(60_000), "x\n".repeat(61_000), "x\ny\n".repeat(40_000)];
    add("text_merge", "equal lines", equal.map(String::into_bytes).join(&0xff));
    all
}

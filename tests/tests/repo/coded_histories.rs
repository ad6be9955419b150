//! Random histories of tensor files and tables, against a model that keeps plain copies: whatever is
//! coded against whatever, the working tree is what it was.

use std::collections::BTreeMap;

use mv_tests::{Files, Random, Sandbox, Weights, edit, table};

const YEAR: i64 = 365 * 24 * 3600;

struct Story {
    sandbox: Sandbox,
    clones: Vec<(Sandbox, String)>,
    random: Random,
    model: Weights,
    head: Weights,
    rows: Vec<u8>,
    /// Where the model lies; it moves.
    place: String,
    versions: BTreeMap<String, Files>,
    /// Branches and tags.
    named: BTreeMap<String, String>,
    branch: String,
    log: Vec<String>,
}

impl Story {
    fn new(seed: u64) -> Story {
        let mut random = Random::new(seed);
        let sandbox = Sandbox::new();
        let narrow = random.percent(60);
        let model = Weights::new(2, 150, narrow, seed);
        let story = Story {
            head: model.clone(),
            model,
            sandbox,
            clones: Vec::new(),
            rows: table(150_000, seed),
            random,
            place: "models/m.safetensors".into(),
            versions: BTreeMap::new(),
            named: BTreeMap::new(),
            branch: "main".into(),
            log: vec![format!("seed {seed}")],
        };
        let remote = story.sandbox.outside().join("shared");
        story.write_all();
        let mut story = story;
        story.commit(&[]);
        story.sandbox.ok(&["remote", "add", "origin", remote.to_str().unwrap()]);
        story
    }

    fn write_all(&self) {
        self.sandbox.write(&self.place, self.model.safetensors());
        self.sandbox.write("models/head.npy", self.head.npy());
        self.sandbox.write("data/rows.csv", &self.rows);
    }

    fn edit(&mut self) {
        let seed = self.random.number();
        let what = self.random.below(9);
        self.log.push(format!("edit {what}"));
        match what {
            0 | 1 => self.model.train(seed),
            2 => self.model.grow(1 + self.random.clone().below(40), seed),
            3 => self.head.train(seed),
            4 => self.rows = edit(&self.rows, 300, seed),
            5 => {
                let name = &mut self.model.tensors[0].0;
                name.push('x');
            }
            6 => {
                if self.sandbox.exists(&self.place) {
                    self.sandbox.remove(&self.place);
                }
                let places = ["models/m.safetensors", "models/n.safetensors", "w.safetensors"];
                self.place = (*self.random.pick(&places)).to_owned();
            }
            7 => {
                // What is gone now comes back with a later edit.
                for path in [&self.place, "models/head.npy"] {
                    if self.sandbox.exists(path) {
                        self.sandbox.remove(path);
                    }
                }
                return;
            }
            _ => {
                let name = format!("data/{}.json", self.random.below(4));
                self.sandbox.write(name, format!("{{\"seed\": {seed}}}"));
                self.model.narrow ^= self.random.percent(20);
            }
        }
        // A checkout may have taken the file away.
        self.write_all();
    }

    fn commit(&mut self, more: &[&str]) {
        self.log.push(format!("commit {more:?}"));
        let arguments = [&["--json", "commit", "-m", "step"], more].concat();
        let output = self.sandbox.mv(&arguments);
        if output.code == 1 {
            return;
        }
        assert_eq!(output.code, 0, "{}", self.story(&output.stderr));
        let id = output.json()["id"].as_str().unwrap().to_owned();
        self.versions.insert(id.clone(), self.sandbox.files());
        self.named.insert(self.branch.clone(), id);
    }

    #[track_caller]
    fn run(&mut self, args: &[&str]) {
        self.log.push(args.join(" "));
        let output = self.sandbox.mv(args);
        assert_eq!(output.code, 0, "{}", self.story(&output.stderr));
    }

    fn step(&mut self) {
        let before = self.sandbox.files();
        let committed = self.versions.get(&self.named[&self.branch]) == Some(&before);
        match self.random.below(100) {
            0..35 => return self.edit(),
            35..50 => self.commit(&[]),
            50..55 => {
                let names: Vec<&String> = self.named.keys().collect();
                let name = (*self.random.pick(&names)).clone();
                self.commit(&["--base", &name]);
            }
            55..60 => self.commit(&["--fast"]),
            60..65 if committed => {
                let name = format!("b{}", self.log.len());
                self.run(&["checkout", "-b", &name]);
                self.named.insert(name.clone(), self.named[&self.branch].clone());
                self.branch = name;
            }
            65..72 if committed => {
                let names: Vec<String> =
                    self.named.keys().filter(|name| !name.starts_with('v')).cloned().collect();
                let name = self.random.pick(&names).clone();
                self.run(&["checkout", &name]);
                self.branch = name.clone();
                let files = &self.versions[&self.named[&name]];
                self.sandbox.files().assert_same(files, &self.story("checkout"));
                return;
            }
            72..76 => {
                let name = format!("v0.{}.0", self.log.len());
                self.run(&["tag", &name]);
                self.named.insert(name, self.named[&self.branch].clone());
            }
            76..80 if self.branch != "main" => {
                // A branch goes, and with it what only it named.
                let gone = self.branch.clone();
                self.commit(&[]);
                self.run(&["checkout", "--force", "main"]);
                self.run(&["branch", "-d", &gone]);
                self.named.remove(&gone);
                self.branch = "main".into();
                return;
            }
            80..86 => {
                self.sandbox.advance(YEAR);
                self.run(&["gc", "--apply", "--keep-last", "1", "--grace", "0d"]);
            }
            86..91 => self.run(&["repack"]),
            91..93 => self.run(&["repack", "--gather"]),
            93..97 => self.run(&["push", "--all"]),
            _ => {
                self.run(&["push", "--all"]);
                let remote = self.sandbox.outside().join("shared");
                let clone = Sandbox::bare();
                self.log.push("clone".into());
                clone.ok(&["clone", remote.to_str().unwrap(), "."]);
                let head = self.named["main"].clone();
                clone.files().assert_same(&self.versions[&head], &self.story("clone"));
                self.clones.push((clone, head));
            }
        }
        self.sandbox.files().assert_same(&before, &self.story("the working tree"));
    }

    fn finish(mut self) {
        self.commit(&[]);
        let checked = self.sandbox.mv(&["fsck", "--full"]);
        assert_eq!(checked.code, 0, "{}", self.story(&checked.stdout));
        for (name, id) in &self.named {
            self.sandbox.ok(&["checkout", "--force", name]);
            self.sandbox.files().assert_same(&self.versions[id], &self.story(name));
        }
        for (clone, head) in &self.clones {
            clone.sound();
            clone.files().assert_same(&self.versions[head], &self.story("an old clone"));
            clone.ok(&["pull"]);
            clone.sound();
        }
    }

    fn story(&self, what: &str) -> String {
        format!("{what}\n{}", self.log.join("\n"))
    }
}

fn play(seeds: std::ops::Range<u64>, steps: usize) {
    for seed in seeds {
        let mut story = Story::new(seed);
        for _ in 0..steps {
            story.step();
        }
        story.finish();
    }
}

#[test]
fn coded_histories_equal_the_model_seeds_0_to_5() {
    play(0..6, 40);
}

#[test]
fn coded_histories_equal_the_model_seeds_6_to_11() {
    play(6..12, 40);
}

#[test]
#[ignore = "minutes"]
fn coded_histories_equal_the_model_seeds_12_to_99() {
    play(12..100, 60);
}

//! What stock's server answers, call by call, as it was recorded of 1.4.5; ours answers the same.

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::Value as Json;
use worldkeeper_core::msgpack::{Decoder, Encoder, Value};
use worldkeeper_testkit::fixtures;

use crate::site::Site;
use crate::talk::{Talk, open};

/// Where stock's server ran.
const THERE: &str = "/mnt/";

/// A server that is asked in the new form.
struct Server {
    child: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
}

impl Server {
    fn start(site: &Site, options: &[&str]) -> Self {
        let mut child = site.serve(options).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take(), child.stdout.take().unwrap());
        let mut server = Self { child, input, output };
        let mut encoder = Encoder::new();
        encoder.map(3).raw("i").uint(1).raw("m").raw("negotiate").raw("a").map(1).raw("client_data").map(1);
        encoder.raw("client_version").array(4).uint(1).uint(4).uint(5).int(-1);
        let _ = server.ask(&encoder.finish());
        server
    }

    fn ask(&mut self, request: &[u8]) -> Value {
        self.input.as_mut().unwrap().write_all(request).unwrap();
        let mut answer = Vec::new();
        loop {
            let mut buffer = vec![0; 1 << 16];
            let len = self.output.read(&mut buffer).unwrap();
            assert!(len > 0, "the server has gone");
            answer.extend_from_slice(&buffer[..len]);
            if let Ok(value) = Value::decode(&mut Decoder::new(&answer)) {
                return value;
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.wait();
    }
}

#[test]
fn our_server_answers_what_stocks_answers() {
    let recorded = fs::read(fixtures::path("vectors/rpc/errors-borg1.4.5.json")).unwrap();
    let recorded: Json = serde_json::from_slice(&recorded).unwrap();
    let site = Site::new();
    let here = site.path("").canonicalize().unwrap().display().to_string();
    let here = format!("{}/", here.trim_end_matches('/'));
    for folder in ["full", "badcfg", "other"] {
        fs::create_dir(site.path(folder)).unwrap();
    }
    fs::write(site.path("full/file"), "").unwrap();

    let (mut server, mut holder) = (None, None);
    for case in recorded["cases"].as_array().unwrap() {
        let name = case["case"].as_str().unwrap();
        let config = if name.contains("version 2") { "[repository]\nversion = 2\n" } else { "[other]\n" };
        fs::write(site.path("badcfg/config"), config).unwrap();
        let options: Vec<_> =
            case["serve_args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
        if case["reply"]["i"] == 2 {
            drop(server.take());
            if name == "open: locked by another process" {
                let mut talk = Talk::with(&mut site.serve(&[]));
                assert!(talk.ask(&open(&site.path("r"))).is_ok());
                holder = Some(talk);
            } else if !options.is_empty() {
                holder = None;
            }
            server = Some(Server::start(&site, &options));
        }
        let answer = server.as_mut().unwrap().ask(&request(case));
        let expected = &case["reply"];
        if expected.get("exception_class").is_none() {
            assert_eq!(answer.get("exception_class"), None, "{name}");
            let result = result(answer.get("r").unwrap());
            // Ids of repositories are drawn.
            if case["method"] != "open" {
                assert_eq!(result, expected["r"], "{name}");
            }
            continue;
        }
        // Stock counts on what it refuses.
        let mapped = |text: &str| text.replace(THERE, &here).replace("15.00 MB", "10.00 MB");
        for field in ["exception_class", "exception_args", "exception_short", "exception_trace"] {
            let expected = expected[field].to_string();
            assert_eq!(result(answer.get(field).unwrap()).to_string(), mapped(&expected), "{name}: {field}");
        }
    }
    drop(holder);
}

/// The recorded call, packed.
fn request(case: &Json) -> Vec<u8> {
    let mut encoder = Encoder::new();
    let arguments = case["args"].as_object().unwrap();
    encoder.map(3).raw("i").uint(case["reply"]["i"].as_u64().unwrap()).raw("m").raw(case["method"].as_str().unwrap());
    encoder.raw("a").map(arguments.len());
    for (name, value) in arguments {
        encoder.raw(name);
        match value {
            Json::Null => _ = encoder.nil(),
            Json::Bool(value) => _ = encoder.bool(*value),
            Json::Number(value) if value.is_f64() => _ = encoder.float(value.as_f64().unwrap()),
            Json::Number(value) => _ = encoder.uint(value.as_u64().unwrap()),
            // Long ones were not written down.
            Json::String(text) => match text.strip_prefix('<').and_then(|text| text.strip_suffix(" bytes>")) {
                Some(len) => _ = encoder.raw(vec![7; len.parse().unwrap()]),
                None => _ = encoder.raw(text),
            },
            value => _ = encoder.raw(bytes(value["hex"].as_str().unwrap())),
        }
    }
    encoder.finish()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// A value as it was written down.
fn result(value: &Value) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => i64::try_from(*value).unwrap().into(),
        Value::Raw(bytes) if bytes.len() == 32 && !bytes.iter().all(u8::is_ascii_graphic) => {
            let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
            let hex: String = digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect();
            serde_json::json!({ "hex": hex })
        }
        Value::Raw(bytes) => String::from_utf8_lossy(bytes).into_owned().into(),
        Value::Array(members) => members.iter().map(result).collect(),
        Value::Map(_) => panic!("no answer has a map in it"),
    }
}

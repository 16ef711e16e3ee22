//! A callback's body: what is read is read in one way, and nothing in it is there twice.

use aimis_gateway::callback::decode::{self, Given};
use http::HeaderValue;

use super::Target;

pub(super) const TARGET: Target = Target {
    name: "callback",
    seeds: SEEDS,
    corpus: None,
    run,
};

const SEEDS: &[&str] = &[
    "{\"status\":3,\"phoneNum\":\"554fb5befba4daabdb8169e45db64485\",\"hospitalId\":\"H0001\",\"studyId\":\"S1\"}",
    "{\"status\":\"3\",\"x\":{\"a\":[1,{\"b\":null}]},\"h5Url\":\"https://pacs.qq.com/\\u0061\"}",
    "status=3&phoneNum=554fb5befba4daabdb8169e45db64485&bodyPart=%E8%83%B8%E9%83%A8",
    "data=%7B%22status%22%3A3%2C%22studyId%22%3A%22S1%22%7D&x=1",
    "data={\"status\":3}",
    "\u{feff} {\"bodyPart\":\"胸部\"} ",
    "{\"a\":1,\"a\":2}",
    "",
];

fn run(input: &[u8]) {
    let gbk = HeaderValue::from_static("application/json; charset=gbk");
    for content_type in [None, Some(&gbk)] {
        check(input, content_type);
    }
}

fn check(body: &[u8], content_type: Option<&HeaderValue>) {
    let Ok(members) = decode::read(body, content_type) else {
        return;
    };
    let mut names = std::collections::HashSet::new();
    let mut read = serde_json::Map::new();
    for member in members.iter() {
        assert!(names.insert(member.name.clone()), "a name is there twice");
        let value = match &member.value {
            Given::Text(text) => text.as_str().into(),
            Given::Json(json) => serde_json::from_str(json).expect("a value that is kept is JSON"),
        };
        read.insert(member.name.clone(), value);
    }
    // A body that serde_json takes for an object in UTF-8 is that object.
    if let Ok(serde_json::Value::Object(plain)) = serde_json::from_slice(body) {
        assert!(plain == read, "another object than the one that is there");
    }
}

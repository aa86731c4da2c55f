//! A headless Chromium, for suites about what a user of a page sees.
//!
//! A [`Browser`] has one page. It is driven over the DevTools protocol: keys that are pressed, expressions that are
//! evaluated in the page, and what the page itself complains about. Waiting is for a condition in the page.

mod pipe;

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;

use self::pipe::Pipe;
use crate::cluster::in_path;
use crate::report;

/// A condition that does not hold by then fails the test instead of hanging it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Arguments of every browser. A sandbox cannot be made by root.
const ARGUMENTS: &[&str] = &[
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
];

/// A browser with one page, ended when the value is dropped.
#[derive(Debug)]
pub struct Browser {
    pipe: Pipe,
    seen: Seen,
    /// Its files, gone with it.
    _profile: TempDir,
}

/// What pages did so far.
#[derive(Debug, Default)]
struct Seen {
    complaints: Vec<String>,
    requests: Vec<String>,
}

impl Browser {
    /// Starts a browser with further arguments. `None` if there is none on this machine, which is reported as `what` that
    /// was skipped.
    ///
    /// # Panics
    ///
    /// When it is there and does not start.
    pub async fn start(what: &str, arguments: &[&str]) -> Option<Self> {
        if let Err(missing) = in_path("chromium", "chromium") {
            report::skipped(what, &format!("failed to {missing}"));
            return None;
        }
        let profile = tempfile::Builder::new().prefix("ferretcd-browser-").tempdir().expect("a directory");
        let data = format!("--user-data-dir={}", profile.path().display());
        let arguments = [ARGUMENTS, arguments, &[&data, "about:blank"]].concat();
        let pipe = Pipe::start("chromium", &arguments).expect("it starts");
        let mut browser = Self { pipe, seen: Seen::default(), _profile: profile };
        let page = browser.command("Target.createTarget", json!({"url": "about:blank"})).await;
        let attach = json!({"targetId": page["targetId"], "flatten": true});
        let session = browser.command("Target.attachToTarget", attach).await;
        browser.pipe.set_session(&session["sessionId"]);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.command(&format!("{domain}.enable"), json!({})).await;
        }
        Some(browser)
    }

    /// Opens a URL, and returns when the page and its scripts have been loaded.
    pub async fn open(&mut self, url: &str) {
        let opened = self.command("Page.navigate", json!({"url": url})).await;
        assert!(opened["errorText"].is_null(), "{url}: {opened}");
        self.until("document.readyState === 'complete'").await;
    }

    /// Sends a command of the DevTools protocol and returns its result.
    ///
    /// # Panics
    ///
    /// When the browser rejects it.
    pub async fn command(&mut self, method: &str, parameters: Value) -> Value {
        self.try_command(method, parameters).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    async fn try_command(&mut self, method: &str, parameters: Value) -> Result<Value, String> {
        let seen = &mut self.seen;
        let response = self.pipe.call(method, parameters, |event| seen.note(event));
        let response = timeout(PATIENCE, response).await.map_err(|_| "no response".to_owned())?;
        let mut response = response.map_err(|error| error.to_string())?;
        if response["error"].is_null() {
            Ok(response["result"].take())
        } else {
            Err(response["error"].to_string())
        }
    }

    /// The value of an expression in the page. A promise is awaited.
    ///
    /// # Panics
    ///
    /// When it throws.
    pub async fn value(&mut self, expression: &str) -> Value {
        self.try_value(expression).await.unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    async fn try_value(&mut self, expression: &str) -> Result<Value, String> {
        let parameters = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut result = self.try_command("Runtime.evaluate", parameters).await?;
        match &result["exceptionDetails"] {
            Value::Null => Ok(result["result"]["value"].take()),
            thrown => Err(thrown.to_string()),
        }
    }

    /// Waits until an expression in the page is true.
    ///
    /// # Panics
    ///
    /// With the text of the page, when that takes too long.
    pub async fn until(&mut self, condition: &str) {
        let waiting = format!(
            "new Promise((resolve) => {{ const look = () => {{ let is = false; try {{ is = {condition}; }} catch {{}} \
             if (is) resolve(true); else setTimeout(look, 20); }}; look(); }})"
        );
        let holds = async {
            // A page that is left takes its promises with it.
            while self.try_value(&waiting).await != Ok(Value::Bool(true)) {}
        };
        if timeout(PATIENCE, holds).await.is_err() {
            let text = self.try_value("document.body.innerText").await;
            panic!("`{condition}` does not become true: {text:?} {:?}", self.seen.complaints);
        }
    }

    /// Waits until the page shows a text.
    pub async fn until_shown(&mut self, text: &str) {
        self.until(&format!("document.body.innerText.includes({})", Value::from(text))).await;
    }

    /// Waits until the page does not show a text any more.
    pub async fn until_gone(&mut self, text: &str) {
        self.until(&format!("!document.body.innerText.includes({})", Value::from(text))).await;
    }

    /// Presses a key by its name, such as `Tab`, or a key with a letter.
    pub async fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "ArrowUp" => (38, ""),
            "ArrowDown" => (40, ""),
            letter => (0, letter),
        };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let event = json!({"type": kind, "key": key, "windowsVirtualKeyCode": code, "text": text});
            self.command("Input.dispatchKeyEvent", event).await;
        }
    }

    /// Types a text where the focus is.
    pub async fn type_text(&mut self, text: &str) {
        self.command("Input.insertText", json!({"text": text})).await;
    }

    /// Presses the button with this label.
    pub async fn click(&mut self, label: &str) {
        let found = format!(
            "[...document.querySelectorAll('button')].find((it) => it.checkVisibility() && it.textContent === {})",
            Value::from(label)
        );
        self.until(&format!("{found}?.disabled === false")).await;
        self.value(&format!("{found}.click()")).await;
    }

    /// Gives the page this width and height in pixels.
    pub async fn resize(&mut self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.command("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// What pages complained about: exceptions, lines of the console above information, violations of their policy,
    /// requests that failed.
    pub fn complaints(&self) -> &[String] {
        &self.seen.complaints
    }

    /// The URLs that pages requested.
    pub fn requests(&self) -> &[String] {
        &self.seen.requests
    }
}

impl Seen {
    fn note(&mut self, event: &Value) {
        let parameters = &event["params"];
        match event["method"].as_str().unwrap_or_default() {
            "Runtime.exceptionThrown" => self.complaints.push(parameters.to_string()),
            "Runtime.consoleAPICalled"
                if parameters["type"] == "error" || parameters["type"] == "warning" =>
            {
                self.complaints.push(parameters.to_string());
            }
            "Log.entryAdded" if parameters["entry"]["level"] != "verbose" => {
                self.complaints.push(parameters["entry"].to_string());
            }
            "Network.requestWillBeSent" => {
                self.requests.push(parameters["request"]["url"].as_str().unwrap_or_default().to_owned());
            }
            _ => {}
        }
    }
}

//! A headless Chromium, driven through chromedriver.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::elements::Element;
use fantoccini::key::Key;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::until;

/// A command of chromedriver that is not in the standard.
#[derive(Debug)]
struct DriverCommand {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for DriverCommand {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (hyper::Method, Option<String>) {
        (hyper::Method::POST, Some(self.body.to_string()))
    }
}

pub(super) struct Browser {
    client: Client,
    driver: Child,
    _profile: TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser ends with its driver. A child that has ended cannot be killed again.
        let _ended = self.driver.kill();
        let _reaped = self.driver.wait();
    }
}

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|place| place.join(name)).find(|program| program.is_file())
}

/// A line for whoever runs the tests.
pub(super) fn say(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Says that a test is not run, and why.
pub(super) fn skip(why: &str) {
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    say(&format!("skipped: {name}: {why}"));
}

impl Browser {
    /// Starts one; none where Chromium or its driver is not installed.
    pub(super) async fn start() -> Option<Self> {
        let (Some(chromium), Some(driver)) = (program("chromium"), program("chromedriver")) else {
            skip("Chromium is not installed (Debian: apt-get install chromium chromium-driver)");
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new(driver)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port =
            lines.find_map(|line| Some(line.split_once("successfully on port ")?.1.trim_end_matches('.').to_owned()));
        // Whatever it prints later is read, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        let arguments = [
            "--headless=new".to_owned(),
            // Chromium refuses its own sandbox to root. Only pages of this server are opened.
            "--no-sandbox".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-background-networking".to_owned(),
            "--js-flags=--expose-gc".to_owned(),
            "--window-size=1280,900".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        let capabilities = json!({
            "goog:chromeOptions": { "binary": chromium, "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let Value::Object(capabilities) = capabilities else { unreachable!("an object was written") };
        let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        let client =
            builder.capabilities(capabilities).connect(&format!("http://127.0.0.1:{}", port.unwrap())).await.unwrap();
        Some(Self { client, driver, _profile: profile })
    }

    pub(super) async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// Runs the body of a function in the page.
    pub(super) async fn run(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.unwrap()
    }

    /// Runs the body of a function whose last argument is called with the result.
    pub(super) async fn run_async(&self, script: &str, arguments: Vec<Value>) -> Value {
        let mut timeouts = self.client.get_timeouts().await.unwrap();
        timeouts.set_script(Some(Duration::from_secs(120)));
        self.client.update_timeouts(timeouts).await.unwrap();
        self.client.execute_async(script, arguments).await.unwrap()
    }

    async fn element(&self, selector: &str) -> Element {
        let element = self.client.wait().at_most(crate::support::PATIENCE).for_element(Locator::Css(selector)).await;
        element.unwrap_or_else(|error| panic!("{selector}: {error}"))
    }

    pub(super) async fn click(&self, selector: &str) {
        let element = self.element(selector).await;
        until(&format!("{selector} can be clicked"), || async { element.click().await.is_ok() }).await;
    }

    pub(super) async fn type_into(&self, selector: &str, text: &str) {
        let element = self.element(selector).await;
        until(&format!("{selector} is shown"), || async { element.is_displayed().await.unwrap_or(false) }).await;
        element.clear().await.unwrap();
        element.send_keys(&format!("{text}{}", char::from(Key::Enter))).await.unwrap();
    }

    pub(super) async fn press(&self, key: &str) {
        let actions = key.chars().fold(KeyActions::new("keyboard".to_owned()), |actions, value| {
            actions.then(KeyAction::Down { value }).then(KeyAction::Up { value })
        });
        self.client.perform_actions(actions).await.unwrap();
    }

    /// A command of the DevTools protocol.
    pub(super) async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.client.issue_cmd(DriverCommand { path: "goog/cdp/execute", body }).await.unwrap()
    }

    /// What was logged as a warning or an error since it was last asked.
    pub(super) async fn logged(&self) -> Vec<String> {
        let lines =
            self.client.issue_cmd(DriverCommand { path: "se/log", body: json!({ "type": "browser" }) }).await.unwrap();
        let is_fault = |line: &&Value| matches!(line["level"].as_str(), Some("SEVERE" | "WARNING"));
        lines.as_array().unwrap().iter().filter(is_fault).map(Value::to_string).collect()
    }

    pub(super) async fn end(self) {
        self.client.clone().close().await.unwrap();
    }
}

//! The pages that the tests open, served on loopback, and what was asked of them.

use std::fmt::Write as _;
use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

/// A server on loopback.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// `/slow` answers when this is true.
    gate: Arc<(Mutex<bool>, Condvar)>,
}

impl Site {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let site = Self {
            address: listener.local_addr().unwrap(),
            asked: Arc::default(),
            gate: Arc::default(),
        };
        let serving = site.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let site = serving.clone();
                thread::spawn(move || site.serve(stream));
            }
        });
        site
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Everything that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The request lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }

    /// Lets `/slow` answer.
    pub(crate) fn open_gate(&self) {
        *self.gate.0.lock().unwrap() = true;
        self.gate.1.notify_all();
    }

    fn wait_for_gate(&self) {
        let open = self.gate.0.lock().unwrap();
        let patience = Duration::from_mins(1);
        drop(
            self.gate
                .1
                .wait_timeout_while(open, patience, |open| !*open)
                .unwrap(),
        );
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(asked) = read(&mut reader) {
            let path = asked.line.split(' ').nth(1).unwrap_or("/").to_owned();
            self.asked.lock().unwrap().push(asked.clone());
            let (path, query) = path.split_once('?').unwrap_or((&path, ""));
            let answer = self.answer(path, query, &asked);
            if (&stream).write_all(&answer).is_err() {
                return;
            }
        }
    }

    fn answer(&self, path: &str, query: &str, asked: &Asked) -> Vec<u8> {
        let to = |location: &str| whole("302 Found", &[("Location", location)], b"");
        match path {
            "/redirect" => to(&decoded(query)),
            "/loop" => to("/loop"),
            "/empty" => whole("204 No Content", &[], b""),
            "/missing" => whole("404 Not Found", HTML, b"<title>Missing</title>not here"),
            "/slow" => {
                self.wait_for_gate();
                whole("200 OK", HTML, b"<title>Slow</title>at last")
            }
            "/headers" => {
                let mut headers: Vec<_> = asked
                    .headers
                    .iter()
                    .map(|(name, value)| format!("{name}: {value}"))
                    .collect();
                headers.sort();
                whole(
                    "200 OK",
                    HTML,
                    format!("<pre>{}</pre>", headers.join("\n")).as_bytes(),
                )
            }
            "/login" => whole(
                "200 OK",
                &[HTML[0], ("Set-Cookie", "who=ada; Path=/; HttpOnly")],
                b"<title>In</title>hello",
            ),
            "/submit" => {
                let body = format!(
                    "<title>Sent</title><h1>Thanks</h1><p id=sent>{}</p>",
                    asked.body
                );
                whole("200 OK", HTML, body.as_bytes())
            }
            "/report.csv" => {
                let headers = [
                    ("Content-Type", "text/csv"),
                    ("Content-Disposition", "attachment; filename=report.csv"),
                ];
                whole("200 OK", &headers, "name,town\nAda,Zürich\n".as_bytes())
            }
            "/big.bin" => {
                let headers = [
                    ("Content-Type", "application/octet-stream"),
                    ("Content-Disposition", "attachment"),
                ];
                whole("200 OK", &headers, &vec![0xff; 4 << 20])
            }
            "/five" => {
                let row = "<p>Fünf Megabyte Text, Zeile für Zeile.</p>\n";
                let body = format!(
                    "<meta charset=utf-8><title>Five</title>{}",
                    row.repeat(5 * 1024 * 1024 / row.len())
                );
                whole("200 OK", HTML, body.as_bytes())
            }
            "/many" => {
                let body = format!(
                    "<title>Many</title>{}",
                    "<p>Ein Absatz für sich\n".repeat(20_001)
                );
                whole("200 OK", HTML, body.as_bytes())
            }
            _ => page(path).map_or_else(
                || whole("404 Not Found", HTML, b"<title>Nothing</title>"),
                |page| whole("200 OK", HTML, page.as_bytes()),
            ),
        }
    }
}

const HTML: &[(&str, &str)] = &[("Content-Type", "text/html; charset=utf-8")];

fn page(path: &str) -> Option<&'static str> {
    Some(match path {
        "/" => {
            "<title>Start</title><h1>Welcome</h1><p>Read <a href=/second>the second page</a>.</p>\
                <p id=soon></p><script>setTimeout(() => soon.textContent = 'now', 50)</script>"
        }
        "/second" => "<title>Second</title><h1>Second</h1><a href=/>back to the start</a>",
        "/form" => include_str!("pages/form.html"),
        "/tall" => {
            "<title>Tall</title><style>body{margin:0}</style><div style='height:3000px;background:linear-gradient(red,blue)'>\
                    </div><button id=end onclick=\"document.title='clicked'\">The end</button>"
        }
        "/huge" => {
            "<title>Huge</title><style>body{margin:0}</style><div style='height:40000px;width:10px;background:green'></div>"
        }
        "/dialogs" => include_str!("pages/dialogs.html"),
        "/covered" => include_str!("pages/covered.html"),
        "/frames" => {
            "<title>Frames</title><h1>Outside</h1><iframe title=inner src=/inner style='width:400px;height:200px'></iframe>"
        }
        "/inner" => {
            "<h2>Inside</h2><button onclick=\"this.textContent='pressed'\">Press me</button><input aria-label=Name>"
        }
        "/popup" => {
            "<title>Popup</title><button id=open onclick=\"window.open('/second')\">Open</button>\
                     <a id=blank href=/second target=_blank>In a new tab</a>\
                     <button id=many onclick=\"for (let i = 0; i < 40; i++) window.open('/second')\">Many</button>\
                     <button id=close onclick=\"window.close()\">Close</button>"
        }
        "/crash" => {
            "<title>Crash</title><button id=crash onclick=\"location='chrome://crash'\">Crash</button>"
        }
        "/busy" => "<title>Busy</title><button id=busy onclick=\"for (;;) {}\">Work</button>",
        "/later" => {
            "<title>Later</title><button id=later onclick=\"setTimeout(() => {
                for (const end = Date.now() + 300; Date.now() < end;);
                location = '/second';
            })\">Later</button>"
        }
        "/files" => {
            "<title>Files</title><a id=csv href=/report.csv>Report</a> <a id=big href=/big.bin>Big</a>"
        }
        "/store" => {
            "<title>Store</title><script>localStorage.setItem('colour', 'blue')</script>stored"
        }
        "/fetches" => {
            "<title>Fetches</title><p id=out>waiting</p><script>\
                       setTimeout(() => fetch('/second').then(r => r.text()).then(() => out.textContent = 'fetched'), 200)</script>"
        }
        "/cjk" => {
            "<meta charset=utf-8><title>漢字</title><h1 style='font-size:60px'>世界，你好</h1><p>Grüße — żółw — Ελλάδα</p>"
        }
        _ => return None,
    })
}

fn whole(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        let _ = write!(answer, "{name}: {value}\r\n");
    }
    answer.push_str("\r\n");
    let mut answer = answer.into_bytes();
    answer.extend_from_slice(body);
    answer
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut next = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        Some(line.trim_end().to_owned())
    };
    let line = next()?;
    let mut headers = HashMap::new();
    loop {
        let header = next()?;
        let Some((name, value)) = header.split_once(": ") else {
            break;
        };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers
        .get("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked {
        line,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

fn decoded(query: &str) -> String {
    query.replace("%3A", ":").replace("%2F", "/")
}

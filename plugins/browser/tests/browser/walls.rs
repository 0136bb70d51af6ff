//! What pages may reach: nothing that the rules refuse, by whatever way they try.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};

use super::{Visit, backend, site::Site};

/// A backend that may reach only this site.
fn only(site: &Site) -> Value {
    json!({ "allowed_hosts": [site.address.to_string()] })
}

#[test]
fn loopback_and_private_addresses_are_out_of_bounds() {
    let kit = backend(json!({ "allowed_hosts": ["*"] }));
    let visit = Visit::of(&kit, json!({}));
    let port = visit.site.address.port();
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0x7f.1",
        "2130706433",
        "10.0.0.1",
        "169.254.169.254",
        "0.0.0.0",
    ] {
        for scheme in ["http", "https"] {
            let failure = visit.refused(
                "goto",
                json!({ "url": format!("{scheme}://{host}:{port}/") }),
            );
            assert_eq!(failure.code, 1006, "{scheme} {host}: {failure:?}");
            assert!(
                failure.message.contains("private or loopback"),
                "{failure:?}"
            );
        }
    }
    assert_eq!(visit.site.lines(), Vec::<String>::new());
    visit.close();
    kit.shutdown().unwrap();
}

#[test]
fn every_request_of_a_page_is_held_to_the_rules() {
    let (allowed, forbidden) = (Site::start(), Site::start());
    let kit = backend(only(&allowed));
    let visit = Visit::of(&kit, json!({}));
    let host = forbidden.address;
    visit.call("goto", json!({ "url": allowed.url("/second") }));
    let script = format!(
        "const done = [];
         const image = new Image(); image.src = 'http://{host}/image';
         done.push(new Promise(end => image.onerror = image.onload = end));
         done.push(fetch('http://{host}/fetch', {{ mode: 'no-cors' }}).then(r => r.text()).catch(() => ''));
         done.push(fetch('https://{host}/tls').catch(() => ''));
         done.push(fetch('/redirect?http%3A%2F%2F{host}%2Fredirected', {{ mode: 'no-cors' }}).catch(() => ''));
         done.push(new Promise(end => {{ const s = new WebSocket('ws://{host}/socket'); s.onerror = s.onopen = end }}));
         const frame = document.createElement('iframe'); frame.src = 'http://{host}/frame';
         done.push(new Promise(end => frame.onload = end)); document.body.append(frame);
         const style = document.createElement('link'); style.rel = 'stylesheet'; style.href = 'http://{host}/style';
         done.push(new Promise(end => style.onerror = style.onload = end)); document.head.append(style);
         navigator.sendBeacon('http://{host}/beacon', 'x');
         const worker = new Worker(URL.createObjectURL(new Blob([`fetch('http://{host}/worker', {{ mode: 'no-cors' }})
             .catch(() => '').then(() => postMessage('done'))`])));
         done.push(new Promise(end => worker.onmessage = worker.onerror = end));
         await Promise.all(done); 'all tried'"
    );
    let answer = visit.call("evaluate", json!({ "script": script }));
    assert_eq!(answer["result"], "all tried");
    let blocked = answer["blocked"].to_string();
    assert!(
        blocked.contains(&format!("{host} may not be reached: it is")),
        "{blocked}"
    );
    let failure = visit.refused(
        "goto",
        json!({ "url": allowed.url(&format!("/redirect?http://{host}/")) }),
    );
    assert_eq!(failure.code, 1006, "{failure:?}");
    visit.call("goto", json!({ "url": allowed.url("/second") }));
    visit.call(
        "evaluate",
        json!({ "script": format!("document.links[0].href = 'http://{host}/link'; 0") }),
    );
    visit.call("click", json!({ "selector": "a" }));
    assert_eq!(forbidden.lines(), Vec::<String>::new());
    assert!(allowed.lines().len() > 3, "{:?}", allowed.lines());
    visit.close();
    kit.shutdown().unwrap();
}

#[test]
fn blocked_hosts_count_before_allowed_ones() {
    let (allowed, blocked) = (Site::start(), Site::start());
    let kit = backend(
        json!({ "allowed_hosts": ["127.0.0.0/8"], "blocked_hosts": [blocked.address.to_string()] }),
    );
    let visit = Visit::of(&kit, json!({}));
    visit.call("goto", json!({ "url": allowed.url("/second") }));
    let failure = visit.refused("goto", json!({ "url": blocked.url("/") }));
    assert!(
        failure.code == 1006 && failure.message.contains("blocked_hosts"),
        "{failure:?}"
    );
    assert_eq!(blocked.lines(), Vec::<String>::new());
    visit.close();
    kit.shutdown().unwrap();
}

#[test]
fn websockets_pass_where_they_may() {
    let visit = Visit::new();
    visit.open("/second");
    let host = visit.site.address;
    visit.eval(&format!("await new Promise(end => {{ const s = new WebSocket('ws://{host}/socket'); s.onerror = s.onopen = end }})"));
    assert!(
        visit
            .site
            .lines()
            .iter()
            .any(|line| line.starts_with("GET /socket")),
        "{:?}",
        visit.site.lines()
    );
    visit.close();
}

#[test]
fn nothing_goes_past_the_proxy_as_datagrams() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let port = socket.local_addr().unwrap().port();
    let visit = Visit::new();
    visit.open("/second");
    let script = format!(
        "const peer = new RTCPeerConnection({{ iceServers: [{{ urls: 'stun:127.0.0.1:{port}' }}] }});
         peer.createDataChannel('x');
         await peer.setLocalDescription(await peer.createOffer());
         if (peer.iceGatheringState !== 'complete') await new Promise(end => {{
             peer.onicegatheringstatechange = () => peer.iceGatheringState === 'complete' && end();
             setTimeout(end, 3000);
         }});
         try {{ await new WebTransport('https://127.0.0.1:{port}/').ready }} catch {{ }}
         'tried'"
    );
    assert_eq!(visit.eval(&script), "tried");
    let mut packet = [0; 64];
    assert!(socket.recv(&mut packet).is_err(), "a datagram came through");
    visit.close();
}

#[test]
fn pages_cannot_read_files() {
    let visit = Visit::new();
    visit.open("/second");
    assert_eq!(
        visit.eval("await fetch('file:///etc/hostname').then(r => r.text()).catch(() => 'no')"),
        "no"
    );
    visit.eval("location = 'file:///etc/hostname'; 0");
    visit.eval("window.open('file:///etc/hostname'); 0");
    let tabs = visit.call("tabs", json!({}))["tabs"].to_string();
    assert!(!tabs.contains("file:"), "{tabs}");
    let frame = "const f = document.createElement('iframe'); f.src = 'file:///etc/hostname'; document.body.append(f); 0";
    visit.eval(frame);
    let landed = visit.refused(
        "goto",
        json!({ "url": visit.site.url("/redirect?file:///etc/hostname") }),
    );
    assert_eq!(landed.code, 2001);
    visit.close();
}

/// A proxy that tunnels everything and notes what it was asked.
fn upstream() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let notes = Arc::clone(&asked);
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let notes = Arc::clone(&notes);
            thread::spawn(move || {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n")
                    && client.read(&mut byte).is_ok_and(|read| read == 1)
                {
                    head.push(byte[0]);
                }
                let head = String::from_utf8(head).unwrap();
                let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
                notes.lock().unwrap().push(head);
                let mut server = TcpStream::connect(target).unwrap();
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                let (mut back, mut forth) =
                    (server.try_clone().unwrap(), client.try_clone().unwrap());
                thread::spawn(move || std::io::copy(&mut back, &mut forth));
                let _ = std::io::copy(&mut client, &mut server);
            });
        }
    });
    (address, asked)
}

#[test]
fn an_upstream_proxy_is_asked_for_the_checked_address() {
    let (proxy, asked) = upstream();
    let site = Site::start();
    let kit = backend(
        json!({ "proxy": format!("http://ada:secret@{proxy}"), "allowed_hosts": [format!("localhost:{}", site.address.port())] }),
    );
    let visit = Visit::of(&kit, json!({}));
    let landed = visit.call(
        "goto",
        json!({ "url": format!("http://localhost:{}/second", site.address.port()) }),
    );
    assert_eq!(landed["title"], "Second");
    let heads = asked.lock().unwrap().clone();
    let head = heads
        .iter()
        .find(|head| head.starts_with(&format!("CONNECT {} HTTP/1.1", site.address)));
    let head = head.unwrap_or_else(|| panic!("{heads:?}"));
    assert!(
        head.contains("Proxy-Authorization: Basic YWRhOnNlY3JldA=="),
        "{head}"
    );
    assert_eq!(
        visit
            .refused("goto", json!({ "url": format!("http://{proxy}/") }))
            .code,
        1006
    );
    visit.close();
    kit.shutdown().unwrap();
}

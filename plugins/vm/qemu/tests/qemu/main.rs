//! Virtual machines as they are: the small guest of `guest/build`, booted once, its clones typed and clicked into.
//!
//! The guest talks back through its screen: a test types a command that paints all of it green or red.

mod guest;

use std::{fs, time::Duration};

use guest::{GREEN, RED, image, qemu, run, say, shows, start, until};
use rustix::process::{Pid, Signal, kill_process};
use vm_qemu::{Button, Error, Input, Qemu};

#[test]
fn what_is_typed_arrives_whole() {
    run(async {
        let guest = start().await;
        let before = guest.picture().await.unwrap();
        assert_eq!((before.width, before.height), (800, 600));
        // Both quotes end the shell's quoting; everything else that a keyboard has stands in one line.
        let printable: String = (' '..='~').filter(|c| *c != '\'').collect();
        let line = format!("{printable}{printable}{printable}");
        say(&guest, "read -r heard\n").await;
        say(&guest, &format!("{line}\n")).await;
        say(
            &guest,
            &format!("[ \"$heard\" = '{}' ] && green || red\n", line.trim()),
        )
        .await;
        shows(&guest, GREEN).await;
        assert_ne!(guest.picture().await.unwrap(), before);
        guest.close().await;
    });
}

#[test]
fn what_cannot_be_typed_is_refused_and_nothing_is() {
    run(async {
        let guest = start().await;
        let refused = guest.act(&[Input::Text("green 世\n".into())]).await;
        assert!(matches!(refused, Err(Error::Untypable(_))), "{refused:?}");
        say(&guest, "red\n").await;
        // Had "green " been typed, the command would be "green red".
        shows(&guest, RED).await;
        guest.close().await;
    });
}

#[test]
fn a_click_lands_on_its_pixel() {
    run(async {
        let guest = start().await;
        let click = [
            Input::Move(301, 203),
            Input::Press(Button::Left),
            Input::Release(Button::Left),
            // The pointer would cover it.
            Input::Move(700, 500),
        ];
        guest.act(&click).await.unwrap();
        assert_eq!(guest.pointer(), (700, 500));
        let dot = [255, 0, 0, 255];
        until("a dot where the click was", || async {
            let picture = guest.picture().await.unwrap();
            let pixel = |x: usize, y: usize| {
                let at = (y * 800 + x) * 4;
                picture.rgba[at..at + 4] == dot
            };
            // The guest paints line by line; the last one is there when all are.
            pixel(301, 203) && pixel(308, 210) && !pixel(300, 203) && !pixel(301, 202)
        })
        .await;
        guest.close().await;
    });
}

#[test]
fn a_snapshot_brings_back_screen_memory_and_disk() {
    run(async {
        let guest = start().await;
        say(&guest, "word=kept; echo kept >/dev/vda; sync; green\n").await;
        shows(&guest, GREEN).await;
        guest.snapshot("before").await.unwrap();
        say(&guest, "word=lost; echo lost >/dev/vda; sync; red\n").await;
        shows(&guest, RED).await;
        guest.restore("before").await.unwrap();
        shows(&guest, GREEN).await;
        say(
            &guest,
            "red; [ $word = kept ] && grep -q kept /dev/vda && green\n",
        )
        .await;
        shows(&guest, GREEN).await;

        // Kept again under the same name, it is the newer one.
        say(&guest, "red\n").await;
        shows(&guest, RED).await;
        guest.snapshot("before").await.unwrap();
        say(&guest, "green\n").await;
        shows(&guest, GREEN).await;
        guest.restore("before").await.unwrap();
        shows(&guest, RED).await;

        let refused = guest.restore("befor").await.unwrap_err();
        let message = "there is no snapshot \"befor\"; there are: before";
        assert_eq!(refused.to_string(), message);
        guest.close().await;
    });
}

#[test]
fn a_cancelled_snapshot_is_in_nobodys_way() {
    run(async {
        let guest = start().await;
        let now = Duration::ZERO;
        let cancelled = tokio::time::timeout(now, guest.snapshot("same")).await;
        assert!(cancelled.is_err(), "it was over at once");
        let begun = tokio::time::timeout(Duration::from_millis(30), guest.snapshot("same")).await;
        drop(begun);
        guest.snapshot("same").await.unwrap();
        guest.restore("same").await.unwrap();
        guest.close().await;
    });
}

#[test]
fn pictures_are_taken_while_a_text_is_typed() {
    run(async {
        let guest = start().await;
        let text = [Input::Text("# a comment that takes its time\n".repeat(200))];
        let typed = guest.act(&text);
        tokio::pin!(typed);
        tokio::select! {
            _ = &mut typed => panic!("the whole text was typed before a picture was taken"),
            picture = guest.picture() => drop(picture.unwrap()),
        }
        guest.close().await;
    });
}

#[test]
fn clones_see_neither_each_other_nor_change_what_they_came_from() {
    run(async {
        let image = image();
        let before = fs::read(&image).unwrap();
        let (one, other) = tokio::join!(start(), start());
        for (guest, word) in [(&one, "one"), (&other, "other")] {
            let command = format!("word={word}; echo {word} >/dev/vda; sync; green\n");
            say(guest, &command).await;
            shows(guest, GREEN).await;
        }
        for (guest, word) in [(&one, "one"), (&other, "other")] {
            let command =
                format!("red; [ $word = {word} ] && [ $(head -n 1 /dev/vda) = {word} ] && green\n");
            say(guest, &command).await;
            shows(guest, GREEN).await;
        }
        let third = start().await;
        say(
            &third,
            "red; [ -z \"$word\" ] && ! grep -qE 'one|other' /dev/vda && green\n",
        )
        .await;
        shows(&third, GREEN).await;
        for guest in [one, other, third] {
            guest.close().await;
        }
        assert!(
            fs::read(&image).unwrap() == before,
            "the image was written to"
        );
    });
}

#[test]
fn a_killed_machine_is_one_clear_error_to_its_own_caller() {
    run(async {
        let (victim, bystander) = tokio::join!(start(), start());
        let pid = victim
            .process_id()
            .and_then(|id| Pid::from_raw(id.cast_signed()));
        kill_process(pid.unwrap(), Signal::KILL).unwrap();
        let message = "the virtual machine ended: QEMU was killed by signal 9";
        for _ in 0..2 {
            let dead = victim.picture().await.unwrap_err();
            assert_eq!(dead.to_string(), message);
        }
        assert!(matches!(victim.probe().await, Err(Error::Dead(_))));
        bystander.probe().await.unwrap();
        say(&bystander, "green\n").await;
        shows(&bystander, GREEN).await;
        bystander.close().await;
    });
}

#[test]
fn nothing_is_left_of_a_closed_machine() {
    run(async {
        let guest = start().await;
        let process = format!("/proc/{}", guest.process_id().unwrap());
        let folder = fs::read_link(format!("{process}/cwd")).unwrap();
        assert!(folder.join("disk.qcow2").exists());
        guest.close().await;
        assert!(!fs::exists(process).unwrap() && !folder.exists());

        let dropped = start().await;
        let process = format!("/proc/{}", dropped.process_id().unwrap());
        let folder = fs::read_link(format!("{process}/cwd")).unwrap();
        drop(dropped);
        until("nothing left of it", || async {
            !fs::exists(&process).unwrap() && !folder.exists()
        })
        .await;
    });
}

#[test]
fn an_image_without_a_ready_text_is_ready_when_its_picture_stays() {
    run(async {
        let (mut settings, shape) = guest::configuration();
        settings.ready_text = None;
        settings.template_cache = None;
        let qemu = Qemu::new(settings);
        let guest = qemu.start(&shape).await.unwrap();
        say(&guest, "green\n").await;
        shows(&guest, GREEN).await;
        guest.close().await;
        qemu.shutdown();
    });
}

#[test]
fn a_kept_template_saves_later_servers_the_boot() {
    run(async {
        // Another's guest is there, so the template is.
        start().await.close().await;
        let (mut settings, shape) = guest::configuration();
        // No boot is over in this time.
        settings.boot_seconds = 1;
        settings.kvm_boot_seconds = 1;
        let later = Qemu::new(settings);
        later.start(&shape).await.unwrap().close().await;
    });
}

#[test]
fn a_view_has_a_port_and_a_password_of_its_own() {
    run(async {
        let (_, mut shape) = guest::configuration();
        shape.view = true;
        let (one, other) = tokio::join!(qemu().start(&shape), qemu().start(&shape));
        let (one, other) = (one.unwrap(), other.unwrap());
        let (first, second) = (one.view().unwrap(), other.view().unwrap());
        assert_ne!(first, second);
        let greeted = guest::vnc_greeting(first.port).await;
        assert!(greeted.starts_with("RFB 003.008"), "{greeted}");
        assert!(start().await.view().is_none());
        one.close().await;
        other.close().await;
    });
}

#[test]
fn programs_and_files_go_through_the_agent() {
    run(async {
        let guest = start().await;
        let limit = Duration::from_secs(30);
        let shell = |line: &str| ["sh".to_owned(), "-c".to_owned(), line.to_owned()];
        until("the agent answers", || async {
            guest.run(&shell("true"), limit).await.is_ok()
        })
        .await;
        assert_eq!(guest.run(&shell("exit 7"), limit).await.unwrap(), 7);

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let bytes: Vec<u8> = (0..2_000_000_u32)
            .map(|number| number.to_le_bytes()[1])
            .collect();
        fs::write(&file, &bytes).unwrap();
        guest.upload(&file, "/file").await.unwrap();
        let check = format!(
            "[ \"$(sha256sum </file)\" = '{}  -' ]",
            guest::sha256(&bytes)
        );
        assert_eq!(guest.run(&shell(&check), limit).await.unwrap(), 0);

        guest
            .launch(&shell("printf '\\033[42m\\033[2J' >/dev/tty1"))
            .await
            .unwrap();
        shows(&guest, GREEN).await;

        let refused = guest.launch(&["nonexistent".to_owned()]).await.unwrap_err();
        assert!(matches!(refused, Error::Refused(_)), "{refused:?}");
        let late = guest
            .run(&shell("sleep 100"), Duration::from_millis(200))
            .await;
        assert!(matches!(late, Err(Error::Timeout(_))), "{late:?}");
        guest.close().await;
    });
}

#[test]
fn a_guest_without_an_agent_says_so() {
    run(async {
        let guest = start().await;
        say(&guest, "killall qemu-ga; green\n").await;
        shows(&guest, GREEN).await;
        let command = ["true".to_owned()];
        let refused = guest
            .run(&command, Duration::from_secs(1))
            .await
            .unwrap_err();
        assert!(matches!(refused, Error::Unsupported(_)), "{refused:?}");
        assert!(
            refused.to_string().contains("qemu-guest-agent"),
            "{refused}"
        );
        guest.close().await;
    });
}

#[test]
fn a_file_that_is_not_there_is_named_by_its_key() {
    run(async {
        let (mut settings, mut shape) = guest::configuration();
        shape.image = "/nonexistent/image.qcow2".into();
        let refused = qemu().start(&shape).await.unwrap_err().to_string();
        assert_eq!(refused, "the file of `vm_path` cannot be read");
        shape.image = image();
        settings.kernel = Some("/nonexistent/kernel".into());
        let refused = Qemu::new(settings).prepare(&shape).await.unwrap_err();
        assert_eq!(refused.to_string(), "the file of `kernel` cannot be read");
    });
}

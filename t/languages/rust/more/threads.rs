use std::sync::{mpsc, Arc, Mutex};
use std::thread;

fn main() {
    let sum = Arc::new(Mutex::new(0u64));
    let threads: Vec<_> = (1..=16)
        .map(|i| {
            let sum = Arc::clone(&sum);
            thread::spawn(move || {
                for _ in 0..1000 {
                    *sum.lock().unwrap() += i;
                }
            })
        })
        .collect();
    for one in threads {
        one.join().unwrap();
    }
    println!("{}", sum.lock().unwrap());
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || (1..=3).for_each(|n| sender.send(n * n).unwrap()));
    println!("{:?}", receiver.iter().collect::<Vec<_>>());
    let caught = thread::spawn(|| panic!("in a thread")).join();
    println!("{}", caught.is_err());
}

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Circle { radius: f64 },
    Square(f64),
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Shape::Circle { radius } => write!(f, "circle {radius:.2}"),
            Shape::Square(side) => write!(f, "square {side:.2}"),
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut count = BTreeMap::new();
    for word in "a b a c b a".split_whitespace() {
        *count.entry(word).or_insert(0) += 1;
    }
    println!("{count:?}");
    for shape in [Shape::Circle { radius: 1.5 }, Shape::Square(2.0)] {
        println!("{shape} {shape:?}");
    }
    let set: HashSet<u32> = (1..10).chain(5..12).collect();
    let map: HashMap<_, _> = set.iter().map(|n| (n, n * n)).collect();
    println!("{} {}", set.len(), map[&11]);
    fs::write("note.txt", "kept")?;
    println!("{} {}", fs::read_to_string("note.txt")?, std::env::current_dir()?.display());
    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(5));
    println!("{}", start.elapsed() >= Duration::from_millis(5));
    println!("{:?}", "12x".parse::<i32>().map_err(|e| e.to_string()));
    println!("{} {}", "grüß".chars().rev().collect::<String>(), "grüß".len());
    println!("{}", (1..=20u64).product::<u64>());
    Ok(())
}

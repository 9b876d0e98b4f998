//! The stages of a file as a graph: text for a terminal, DOT for graphviz.

use std::fmt::Write as _;

use super::diagnostic::show;
use super::matrix;
use super::model::File;
use super::order::needs;
use super::plan::PostWhen;
use crate::base::count;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    pub title: String,
    pub nodes: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub name: String,
    /// `2 cells`, `when …`, `writes el9-latest`.
    pub notes: Vec<String>,
    /// Indices of earlier nodes.
    pub needs: Vec<usize>,
    /// Post steps hang on what they follow by a dotted line.
    pub post: bool,
}

fn occasion(when: PostWhen) -> &'static str {
    match when {
        PostWhen::Always => "always",
        PostWhen::Success => "success",
        PostWhen::Failure => "failure",
        PostWhen::Fixed => "fixed",
    }
}

/// `2 of release-manager approve`.
fn people(a: &super::plan::Approve) -> String {
    format!("{} of {} approve", a.quorum, a.roles.join(", "))
}

/// `a run of rpmcanary`.
fn builds(pipeline: &str, wait: bool) -> String {
    format!("a run of {pipeline}{}", if wait { "" } else { ", not waited for" })
}

/// The graph of an error-free file.
pub fn of_file(file: &File) -> Graph {
    let needs = needs(file);
    let mut nodes: Vec<Node> = Vec::new();
    for (stage, needs) in file.stages.iter().zip(needs) {
        let mut notes = Vec::new();
        if let Some(cells) = stage.matrix.as_ref().and_then(|m| matrix::expand(m).ok()) {
            notes.push(count::s(cells.len() as u64, "cell"));
        }
        if let Some(when) = stage.when.as_ref().and_then(|n| n.text()) {
            notes.push(format!("when {}", show(when)));
        }
        for (word, names) in [("reads", &stage.reads), ("writes", &stage.writes)] {
            if !names.is_empty() {
                notes.push(format!("{word} {}", names.iter().map(|n| n.value.as_str()).collect::<Vec<_>>().join(", ")));
            }
        }
        notes.extend(stage.approve.as_ref().map(|a| people(&super::answers::frozen(a))));
        notes.extend(stage.build().map(|b| builds(&b.pipeline.value, b.wait)));
        if !stage.locks.is_empty() {
            notes.push(format!("locks {}", stage.locks.iter().map(|l| l.name.value.as_str()).collect::<Vec<_>>().join(", ")));
        }
        if !stage.post.parts.is_empty() {
            notes.push(format!("post {}", stage.post.parts.iter().map(|(w, _)| occasion(*w)).collect::<Vec<_>>().join(", ")));
        }
        nodes.push(Node { name: stage.name.value.clone(), notes, needs, post: false });
    }
    end(&mut nodes, file.post.parts.iter().map(|(w, _)| *w).collect());
    Graph { title: file.name.value.clone(), nodes }
}

/// The post section, behind every stage that nothing waits for.
fn end(nodes: &mut Vec<Node>, post: Vec<PostWhen>) {
    if post.is_empty() {
        return;
    }
    let leaves = (0..nodes.len()).filter(|i| !nodes.iter().any(|n| n.needs.contains(i))).collect();
    let notes = vec![post.into_iter().map(occasion).collect::<Vec<_>>().join(", ")];
    nodes.push(Node { name: "Post Actions".into(), notes, needs: leaves, post: true });
}

impl Node {
    fn label(&self) -> String {
        if self.notes.is_empty() { self.name.clone() } else { format!("{}  [{}]", self.name, self.notes.join("; ")) }
    }
}

/// For a terminal: a chain goes straight down, a branch is indented, a stage that waits for several names the others.
pub fn ascii(graph: &Graph) -> String {
    // Every node hangs below its deepest need; of several, the one that is drawn last.
    let mut depth = vec![0usize; graph.nodes.len()];
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); graph.nodes.len()];
    let mut roots = Vec::new();
    let mut parent = vec![None; graph.nodes.len()];
    for (i, node) in graph.nodes.iter().enumerate() {
        let deepest = node.needs.iter().copied().filter(|j| *j < i).max_by_key(|j| (depth[*j], *j));
        match deepest {
            Some(j) => {
                depth[i] = depth[j] + 1;
                children[j].push(i);
                parent[i] = Some(j);
            }
            None => roots.push(i),
        }
    }
    let mut out = String::new();
    // (node, text before it, text before what follows below it)
    let mut todo: Vec<(usize, String, String)> = Vec::new();
    for (n, root) in roots.iter().enumerate() {
        let last = n + 1 == roots.len();
        let alone = roots.len() == 1;
        let lead = if alone {
            String::new()
        } else if last {
            "`-- ".into()
        } else {
            "|-- ".into()
        };
        let below = if alone {
            String::new()
        } else if last {
            "    ".into()
        } else {
            "|   ".into()
        };
        todo.push((*root, lead, below));
    }
    todo.reverse();
    while let Some((i, lead, below)) = todo.pop() {
        let node = &graph.nodes[i];
        let others: Vec<&str> = node.needs.iter().filter(|j| Some(**j) != parent[i]).map(|j| graph.nodes[*j].name.as_str()).collect();
        let also = if others.is_empty() { String::new() } else { format!("  (also after {})", others.join(", ")) };
        let _ = writeln!(out, "{lead}{}{also}", node.label());
        match children[i].as_slice() {
            [] => {}
            [only] => {
                let _ = writeln!(out, "{below}|");
                todo.push((*only, below.clone(), below));
            }
            many => {
                for (n, child) in many.iter().enumerate().rev() {
                    let last = n + 1 == many.len();
                    let lead = format!("{below}{}", if last { "`-- " } else { "|-- " });
                    todo.push((*child, lead, format!("{below}{}", if last { "    " } else { "|   " })));
                }
            }
        }
    }
    out
}

/// For `dot -Tsvg`.
pub fn dot(graph: &Graph) -> String {
    let quote = |s: &str| format!("\"{}\"", s.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " "));
    let mut out = format!("digraph {} {{\n  rankdir=TB;\n  node [shape=box, fontname=\"sans-serif\"];\n", quote(&graph.title));
    for (i, node) in graph.nodes.iter().enumerate() {
        let label = std::iter::once(node.name.as_str())
            .chain(node.notes.iter().map(String::as_str))
            .map(quote)
            .map(|q| q[1..q.len() - 1].to_owned());
        let style = if node.post { ", style=dashed" } else { "" };
        let _ = writeln!(out, "  n{i} [label=\"{}\"{style}];", label.collect::<Vec<_>>().join("\\n"));
    }
    for (i, node) in graph.nodes.iter().enumerate() {
        for need in &node.needs {
            let _ = writeln!(out, "  n{need} -> n{i}{};", if node.post { " [style=dashed]" } else { "" });
        }
    }
    out.push_str("}\n");
    out
}

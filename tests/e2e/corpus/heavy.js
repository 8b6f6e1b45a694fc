// Draws a text in parts as it comes from a model; out come how many of its letters are shown, how deep, what went wrong.
async (text) => {
    const { MarkdownView } = await import("konstruct/markdown");
    const box = document.createElement("div");
    box.className = "prose";
    document.getElementById("log").append(box);
    const view = new MarkdownView(box);
    for (let part = 1; part < 6; part++) view.draw(text.slice(0, (text.length * part) / 6), { final: false });
    view.draw(text);
    const letters = [...box.textContent].filter((letter) => /[a-z]/.test(letter)).length;
    let depth = 0;
    const walk = (node, at) => {
        depth = Math.max(depth, at);
        for (const child of node.children) walk(child, at + 1);
    };
    walk(box, 0);
    box.remove();
    return [letters, depth, window.trouble.splice(0)];
}

// Ordinary Markdown, cut and mixed: grown piece by piece it has to become what it is when drawn at once.
async ([source, seed, rounds]) => {
    const { MarkdownView } = await import("konstruct/markdown");
    await Promise.all([import("highlight"), import("katex")]);
    let state = seed;
    const random = (below) => {
        state = (state * 1664525 + 1013904223) % 4294967296;
        return Math.floor((state / 4294967296) * below);
    };
    const blocks = source.split("\n\n");
    const log = document.getElementById("log");
    const plain = (box) => {
        const copy = box.cloneNode(true);
        // Colours come when they come.
        for (const code of copy.querySelectorAll("pre code")) code.textContent = code.textContent;
        return copy;
    };
    for (let round = 0; round < rounds; round++) {
        const chosen = Array.from({ length: 3 + random(8) }, () => blocks[random(blocks.length)]);
        const between = ["\n\n", "\n", "\n\n\n"][random(3)];
        let text = chosen.join(between);
        text = text.slice(random(10), text.length - random(10));
        const whole = document.createElement("div"), grown = document.createElement("div");
        log.append(whole, grown);
        new MarkdownView(whole).draw(text);
        const view = new MarkdownView(grown);
        for (let at = 0; at < text.length; at += 1 + random(12)) view.draw(text.slice(0, at), { final: false });
        const early = [...grown.children].map(plain), nodes = [...grown.children];
        view.draw(text);
        // What was settled on the way was right, and its nodes stay; labels may be explained at the end.
        const settled = between === "\n" || text.includes("[label]:") ? 0 : early.length - 2;
        for (let at = 0; at < settled; at++) {
            const same = nodes[at] === grown.children[at] && early[at].isEqualNode(plain(whole.children[at]));
            if (!same) return ["settled", text, early[at].outerHTML, whole.children[at]?.outerHTML];
        }
        if (!plain(whole).isEqualNode(plain(grown))) return [text, whole.innerHTML, grown.innerHTML];
        whole.remove();
        grown.remove();
    }
    return null;
}

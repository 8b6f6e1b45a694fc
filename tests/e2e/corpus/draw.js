// Draws each case into the page's log, whole and in pieces of `steps` characters, and says what is wrong with it.
async ([cases, steps]) => {
    // What may be in an answer, whoever wrote it, with the attributes each may have.
    const allowed = {
        "*": ["dir", "class", "lang"],
        a: ["href", "title", "target", "rel"], button: ["type"], ol: ["start"], td: ["align"], th: ["align", "scope"],
        div: ["role", "tabindex", "aria-label"], pre: ["role", "tabindex", "aria-label"], span: ["role", "aria-label"],
    };
    const plain = "blockquote br code del em h1 h2 h3 h4 h5 h6 hr kbd li p strong sub sup table tbody thead tr ul";
    for (const name of plain.split(" ")) allowed[name] = [];
    const classNames =
        /^(block|code|code-head|code-language|copy-code|table|host|task|is-done|is-task|math|is-block|is-drawn|hljs-[\w-]+|[a-z]+_+)$/;
    const { MarkdownView } = await import("konstruct/markdown");
    // So that neither is fetched in the middle of a case.
    await Promise.all([import("highlight"), import("katex")]);
    const log = document.getElementById("log");
    const names = Object.getOwnPropertyNames(window).length;
    const problems = {};

    const wrongIn = (box) => {
        const found = [];
        for (const node of box.querySelectorAll("*")) {
            const name = node.localName;
            const isMath = node.namespaceURI === "http://www.w3.org/1998/Math/MathML";
            if (isMath ? name === "annotation-xml" || name === "maction" : !(name in allowed)) found.push(`<${name}>`);
            for (const { name: attribute, value } of node.attributes) {
                const may = isMath
                    ? !/^on|href|src|style|^id$|class/i.test(attribute)
                    : allowed["*"].includes(attribute) || allowed[name]?.includes(attribute);
                if (!may) found.push(`${name}[${attribute}=${value}]`);
            }
            for (const one of node.classList) if (!classNames.test(one)) found.push(`.${one}`);
            if (name === "a" && node.hasAttribute("href")) {
                if (!/^(https?:\/\/|mailto:)/i.test(node.getAttribute("href"))) found.push(`href ${node.href}`);
                if (!["http:", "https:", "mailto:"].includes(node.protocol)) found.push(`protocol ${node.protocol}`);
                if (node.origin === location.origin) found.push(`a page of ours: ${node.href}`);
                if (node.target !== "_blank" || node.rel !== "noopener noreferrer nofollow") found.push("rel, target");
            }
        }
        return found;
    };
    // The page's own line on the connection comes and goes meanwhile; these do not.
    const outside = () =>
        document.querySelectorAll(":is(script, link, style, base, meta, iframe, object, embed, form, img, body > *):not(#log *)").length;
    // What a reader may do with it, by mistake or out of curiosity; where a link leads is looked at above.
    const poke = (box) => {
        for (const node of box.querySelectorAll("*")) {
            for (const type of ["mouseover", "mouseenter", "pointerover", "focus", "load", "error", "toggle", "click"]) {
                const event = new MouseEvent(type, { bubbles: true, cancelable: true });
                if (type === "click" && node.closest("a")) continue;
                node.dispatchEvent(event);
            }
        }
    };

    for (const [name, text] of Object.entries(cases)) {
        const found = [];
        const before = outside();
        for (const step of [Infinity, ...steps]) {
            const box = document.createElement("div");
            box.className = "prose";
            log.append(box);
            const view = new MarkdownView(box);
            for (let at = step; at < text.length; at += step) {
                view.draw(text.slice(0, at), { final: false });
                found.push(...wrongIn(box));
            }
            view.draw(text);
            // Colours come in idle time.
            if (box.querySelector("pre")) await new Promise((done) => setTimeout(done, step === Infinity ? 400 : 0));
            poke(box);
            found.push(...wrongIn(box));
            await new Promise((done) => setTimeout(done));
            box.remove();
        }
        if (outside() !== before) found.push("something outside the answer");
        if (window.trouble.length) found.push(...window.trouble.splice(0));
        problems[name] = [...new Set(found)];
    }
    problems.clobbered = Object.getOwnPropertyNames(window).length === names ? [] : ["window has other names"];
    return problems;
}

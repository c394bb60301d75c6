// Draws the page anew when something came in. Without scripts, reloading the page does the same.
const main = document.querySelector("main");
let shown = main.innerHTML;

setInterval(async () => {
  if (document.hidden || main.contains(document.activeElement)) return;
  try {
    const answer = await fetch("/");
    const next = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
    if (next.innerHTML === shown) return;
    shown = next.innerHTML;
    main.replaceChildren(...next.childNodes);
  } catch {
    // The demo was stopped; what is on the screen stays.
  }
}, 1500);

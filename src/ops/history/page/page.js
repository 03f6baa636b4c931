// Shows what lies under the pointer, or has the focus, at once: the title of its element, which browsers show late.
"use strict";
const tip = document.getElementById("tip");
for (const title of document.querySelectorAll("svg title")) {
  title.parentNode.dataset.said = title.textContent;
  title.parentNode.setAttribute("aria-label", title.textContent);
  title.remove();
}
function show(slot, x, y) {
  tip.textContent = "";
  slot.dataset.said.split("\n").forEach((line, number) => {
    const part = document.createElement(number ? "div" : "b");
    part.textContent = line;
    tip.append(part);
  });
  tip.hidden = false;
  const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
  tip.style.left = Math.max(8, Math.min(x + 14, room)) + "px";
  tip.style.top = Math.max(8, y - tip.offsetHeight - 12) + "px";
}
const slotOf = (event) => (event.target.closest ? event.target.closest(".slot") : null);
addEventListener("pointermove", (event) => {
  const slot = slotOf(event);
  if (slot) show(slot, event.clientX, event.clientY);
  else tip.hidden = true;
});
addEventListener("focusin", (event) => {
  const slot = slotOf(event);
  if (slot) {
    const box = slot.getBoundingClientRect();
    show(slot, box.x + box.width / 2, box.y + 40);
  }
});
addEventListener("focusout", () => (tip.hidden = true));
addEventListener("scroll", () => (tip.hidden = true), { passive: true });

// SPDX-License-Identifier: Apache-2.0
// Gradio's pages are all in English to screen readers and to the choice of fonts; ours are what their address says.
document.documentElement.lang = location.pathname.split("/").at(-2);
// What is typed and not sent outlives a page that is loaded anew: ARRIVED in page.py puts it back.
window.addEventListener("pagehide", () => {
  const box = document.querySelector("#message textarea");
  if (box) sessionStorage.setItem("chatvector draft", box.value); // none yet: what was kept before stays
});
// Gradio tells its server of pointers that let go of a slider. One that is moved by the keyboard is let go when the key is,
// and so is the number beside it, at Enter too, and when it is left: there Gradio would put what is no number at 0, and
// what is out of range at its end, without a word.
const NUMBER = "[id^=scale] input[type=number]";
const KEYS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home", "End"];
const letGo = (field) => field.dispatchEvent(new PointerEvent("pointerup", { bubbles: true }));
document.addEventListener("keyup", ({ target, key }) => {
  if (target.matches?.("input[type=range]") && KEYS.includes(key)) letGo(target);
  if (target.matches?.(NUMBER) && ["Enter", "ArrowUp", "ArrowDown"].includes(key)) letGo(target);
});
document.addEventListener("blur", (event) => {
  if (!event.target.matches?.(NUMBER)) return;
  event.stopImmediatePropagation();
  letGo(event.target);
}, true);

// SPDX-License-Identifier: Apache-2.0
// Sliders and the numbers beside them that are moved by the keyboard are let go when the key is: Gradio tells its server
// of pointers, and of a number that is left.
document.addEventListener("keyup", (event) => {
  const moves = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home", "End"];
  if (event.target.matches?.("input[type=range]") && moves.includes(event.key)) {
    event.target.dispatchEvent(new PointerEvent("pointerup", { bubbles: true }));
  }
  if (event.target.matches?.("[id^=scale] input[type=number]") && ["Enter", "ArrowUp", "ArrowDown"].includes(event.key)) {
    event.target.dispatchEvent(new FocusEvent("blur"));
  }
});

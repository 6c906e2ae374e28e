// Made by `python -m nngrad.codegen --gallery`; do not edit
// Shows the ops that have every word of the box in their name, kind or summary. "/" goes to the box, Escape empties it.
const box = document.querySelector("#filter");
const told = document.querySelector(".filter output");
const sections = [...document.querySelectorAll("section")];

function show() {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const section of sections) {
    let own = 0;
    for (const item of section.querySelectorAll("li")) {
      item.hidden = !words.every((word) => item.dataset.words.includes(word));
      own += !item.hidden;
    }
    section.hidden = own === 0;
    count += own;
  }
  told.textContent = words.length ? `${count} ${count === 1 ? "op" : "ops"}` : "";
}

box.addEventListener("input", show);
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== box) {
    event.preventDefault();
    box.focus();
  } else if (event.key === "Escape" && box.value) {
    box.value = "";
    show();
  }
});
document.querySelector(".filter").hidden = false;
show();

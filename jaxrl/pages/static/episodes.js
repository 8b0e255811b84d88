/* Episodes, which can be stopped, and stand still for those who want less motion. */
const episodes = {
  still: window.matchMedia("(prefers-reduced-motion: reduce)"),

  start(root) {
    const image = root.querySelector("img");
    const button = root.querySelector("button");
    button.addEventListener("click", () => episodes.play(root, button.textContent === "Play"));
    root.moving = !episodes.still.matches;
    if (image.getAttribute("src")) {
      root.source = image.getAttribute("src");
      episodes.play(root, root.moving);
    }
  },

  /* Another episode, or a sentence where there is none. */
  show(root, episode, missing) {
    const { source, description } = episode ?? { source: null, description: missing };
    root.querySelector(".picture").hidden = source === null;
    root.querySelector("figcaption").textContent = description;
    if (source !== null && root.source !== source) {
      root.source = source;
      root.querySelector("img").alt = description;
      episodes.play(root, root.moving);
    }
  },

  play(root, moving) {
    const image = root.querySelector("img");
    root.moving = moving;
    root.querySelector("button").textContent = moving ? "Stop" : "Play";
    image.src = root.source;
    if (!moving) image.decode().then(() => { if (!root.moving) image.src = episodes.first(image); }).catch(() => {});
  },

  /* The first frame. */
  first(image) {
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    canvas.getContext("2d").drawImage(image, 0, 0);
    return canvas.toDataURL();
  },
};

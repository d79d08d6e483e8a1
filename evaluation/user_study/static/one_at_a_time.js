"use strict";
// A video that starts pauses the others: two voices at once cannot be judged. Everything else works without script.
document.addEventListener("play", (event) => {
  for (const video of document.querySelectorAll("video")) {
    if (video !== event.target) video.pause();
  }
}, true);

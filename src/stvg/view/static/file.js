"use strict";
/* The viewer as one file: data and video stand in the page, saving is a download. */

const data = JSON.parse(document.getElementById("data").textContent);

/** An address of the video: the bytes in the page, or a file beside it. */
function addressOf({ base64, type, link }) {
  if (link) return link;
  return URL.createObjectURL(new Blob([bytesOf(base64)], { type }));
}

const viewer = new Viewer(document.getElementById("viewer"), {
  video: data.columns[0].documents[0].video,
  src: addressOf(data.media),
  columns: data.columns,
  times: data.times,
  save({ document: corrected, column, index }) {
    const stem = stemOf(corrected.video.path), { title } = data.columns[column];
    const name = `${stem}.${title}.${index + 1}.corrected.json`;
    download(corrected, name);
    return `saved as ${safe(name)}`;
  },
});
document.getElementById("settings").append(themeSwitch());
addEventListener("beforeunload", event => { if (viewer.hasUnsaved) event.preventDefault(); });

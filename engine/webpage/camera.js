// The camera: its picture is shown until one is taken. Where a page may not ask for it, the phone's own camera is opened.

import { of } from "./explain_parts.js";

let stream = null;

function close() {
  if (stream) stream.getTracks().forEach((track) => track.stop());
  stream = null;
  of("video").srcObject = null;
  of("viewfinder").hidden = true;
}

async function open(refused) {
  if (!navigator.mediaDevices || !navigator.mediaDevices.getUserMedia) { // neither https nor this machine
    of("file").setAttribute("capture", "environment");
    of("file").click();
    of("file").removeAttribute("capture");
    return;
  }
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    refused(`The camera cannot be used (${error.message}). Choose a picture.`);
    return;
  }
  of("video").srcObject = stream;
  of("viewfinder").hidden = false;
  of("shutter").focus();
}

// Calls `take` with what the camera sees, once it is asked for; `refused` where there is no camera.
export function giveCamera(take, refused) {
  of("camera").addEventListener("click", () => (stream ? close() : open(refused)));
  of("close").addEventListener("click", () => {
    close();
    of("camera").focus();
  });
  of("shutter").addEventListener("click", () => {
    if (!of("video").videoWidth) return;
    take(of("video"), [of("video").videoWidth, of("video").videoHeight]);
    close();
    of("camera").focus();
  });
}

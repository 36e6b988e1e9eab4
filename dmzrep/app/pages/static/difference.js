/** Side of the pictures that are compared. */
const COMPARED = 64;

function pixelsOf(image, isMirrored = false) {
  const canvas = element("canvas", { width: COMPARED, height: COMPARED });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  if (isMirrored) {
    context.translate(COMPARED, 0);
    context.scale(-1, 1);
  }
  context.drawImage(image, 0, 0, COMPARED, COMPARED);
  return context.getImageData(0, 0, COMPARED, COMPARED).data;
}

/** Return the mean absolute difference of two arrays of pixels, and the difference of each pixel. */
function compare(a, b) {
  const difference = new Uint8ClampedArray(COMPARED * COMPARED);
  let total = 0;
  for (let i = 0; i < difference.length; i++) {
    const change = Math.max(...[0, 1, 2].map((c) => Math.abs(a[4 * i + c] - b[4 * i + c])));
    difference[i] = change;
    total += change;
  }
  return { difference, mean: total / difference.length };
}

/** Draw where a picture differs from a reference: white for equal pixels, through orange to red. Return a sentence. */
function drawDifference(canvas, reference, image, isMirrored) {
  const result = compare(pixelsOf(reference), pixelsOf(image, isMirrored));
  canvas.width = canvas.height = COMPARED;
  const context = canvas.getContext("2d");
  const output = context.createImageData(COMPARED, COMPARED);
  result.difference.forEach((change, i) => {
    const t = Math.min(1, change / 128);
    output.data.set([255 - 90 * t * t, 255 - 225 * t ** 0.8, 255 - 235 * Math.min(1, 1.5 * t ** 0.6), 255], 4 * i);
  });
  context.putImageData(output, 0, 0);
  return result.mean < 0.5 ? "no visible difference" : `pixels differ by ${((100 * result.mean) / 255).toFixed(1)} %`;
}

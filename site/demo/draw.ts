/** Draws frames of an environment, the learned reward and the agent's progress. */
import type { Frame } from 'heed/browser';
import type { RewardMap } from './messages.ts';

/** A canvas as wide as its place, sharp on its screen. */
function prepared(canvas: HTMLCanvasElement, ratio: number) {
  const width = Math.round((canvas.clientWidth || 300) * devicePixelRatio);
  const height = Math.round(width * ratio);
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext('2d')!;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

/** Draws one frame. */
export function drawFrame(canvas: HTMLCanvasElement, frame: Frame): void {
  const { context, width } = prepared(canvas, frame.height / frame.width);
  const scale = width / frame.width;
  context.setTransform(scale, 0, 0, scale, 0, 0);
  for (const shape of frame.shapes) {
    context.beginPath();
    if (shape.kind === 'circle') context.arc(shape.x, shape.y, shape.radius, 0, 2 * Math.PI);
    else if (shape.kind === 'polygon' || shape.kind === 'line') {
      for (let i = 0; i < shape.points.length; i += 2) context.lineTo(shape.points[i], shape.points[i + 1]);
    }
    if (shape.kind === 'line') {
      context.strokeStyle = shape.stroke;
      context.lineWidth = shape.width;
      context.stroke();
    } else if ('fill' in shape) {
      context.closePath();
      context.fillStyle = shape.fill;
      context.fill();
    }
  }
}

/** Plays frames in a loop until the returned function is called. `still` shows the middle one only. */
export function play(canvas: HTMLCanvasElement, frames: readonly Frame[], framesPerSecond: number): () => void {
  if (matchMedia('(prefers-reduced-motion: reduce)').matches) {
    drawFrame(canvas, frames[frames.length >> 1]);
    return () => {};
  }
  const began = performance.now();
  const pause = framesPerSecond / 2; // frames for which the last one stays
  let request = requestAnimationFrame(function tick(now) {
    const at = ((Math.max(0, now - began) / 1000) * framesPerSecond) % (frames.length + pause);
    drawFrame(canvas, frames[Math.min(Math.floor(at), frames.length - 1)]);
    request = requestAnimationFrame(tick);
  });
  return () => cancelAnimationFrame(request);
}

/** Draws the reward over the pole's angle (across) and angular velocity (down), the better the brighter. */
export function drawMap(canvas: HTMLCanvasElement, { angles, velocities, rewards }: RewardMap): void {
  const { context, width, height } = prepared(canvas, 0.7);
  const [across, down] = [width / angles.length, height / velocities.length];
  for (const [i, reward] of rewards.entries()) {
    const [column, row] = [i % angles.length, Math.floor(i / angles.length)];
    context.fillStyle = `hsl(${260 - 205 * reward} ${45 + 40 * reward}% ${22 + 50 * reward}%)`;
    context.fillRect(Math.floor(column * across), Math.floor(row * down), Math.ceil(across), Math.ceil(down));
  }
}

/** Draws the length of the agent's episodes against steps. */
export function drawProgress(
  canvas: HTMLCanvasElement,
  points: readonly { step: number; length: number }[],
  steps: number,
): void {
  const { context, width, height } = prepared(canvas, 0.35);
  const at = ({ step, length }: { step: number; length: number }) =>
    [(step / steps) * (width - 8) + 4, height - 4 - (length / 500) * (height - 8)] as const;
  const { color, borderColor } = getComputedStyle(canvas);
  context.strokeStyle = borderColor;
  context.lineWidth = devicePixelRatio;
  for (const length of [0, 250, 500]) {
    context.beginPath();
    context.moveTo(...at({ step: 0, length }));
    context.lineTo(...at({ step: steps, length }));
    context.stroke();
  }
  context.strokeStyle = color;
  context.lineWidth = 2 * devicePixelRatio;
  context.beginPath();
  for (const point of points) context.lineTo(...at(point));
  context.stroke();
}

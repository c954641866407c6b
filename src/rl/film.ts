/** Clips as moving pictures, drawn without a display or a browser. */
import type { Frame, FrameShape } from '../env/environment.ts';
import { HeedError } from '../error.ts';
import { createRequire, readFileSync } from '../node.ts';
import { optionalPackage } from '../optional-package.ts';
import type { EpisodeSample } from './episodes.ts';

/** How a film is drawn. */
export interface FilmOptions {
  /** Width of each of the two clips in pixels. Default 300. */
  width?: number;
}

/** What is used of gifenc, which brings no types. */
interface GifEncoding {
  GIFEncoder(): {
    writeFrame(
      indices: Uint8Array,
      width: number,
      height: number,
      options: { palette?: readonly number[][]; delay: number },
    ): void;
    finish(): void;
    bytes(): Uint8Array;
  };
  quantize(pixels: Uint8Array, colors: number): number[][];
  applyPalette(pixels: Uint8Array, palette: readonly number[][]): Uint8Array;
}

const load = createRequire(import.meta.url);
/** Not installed with heed: its license is MPL-2.0, and few need it. */
const RESVG = '@resvg/resvg-wasm';
const GAP = 0.02; // between the two clips, as a share of the width of one
const COLORS = 256;
const LOOKED_AT = 8; // frames that the palette is made from

/**
 * The bytes of a GIF: the episode before training on the left, after it on the right. The shorter one stays at its last
 * picture. It repeats forever.
 *
 * @throws HeedError if the sample has no pictures.
 */
export async function filmOf(
  { first, second, framesPerSecond }: Pick<EpisodeSample, 'first' | 'second' | 'framesPerSecond'>,
  { width = 300 }: FilmOptions = {},
): Promise<Uint8Array> {
  const frames = Math.max(first.length, second.length);
  const drawn = [first, second].some((clip) => clip.some(({ shapes }) => shapes.length > 0));
  if (frames === 0 || !drawn) {
    throw new HeedError('the clips have no pictures: the environment could not be drawn', {
      hint: 'heed watch draws episodes anew, where the environment can be drawn',
    });
  }
  const render = await renderer();
  const { GIFEncoder, quantize, applyPalette } = load('gifenc') as GifEncoding;
  const at = (clip: readonly Frame[], i: number) => clip[Math.min(i, clip.length - 1)];
  const picture = (i: number) => render(sideBySide(at(first, i), at(second, i)), Math.round((2 + GAP) * width));
  const looked = Array.from({ length: Math.min(LOOKED_AT, frames) }, (_, k, all = Math.min(LOOKED_AT, frames)) =>
    picture(Math.floor((k * frames) / all)),
  );
  const palette = quantize(joined(looked.map(({ pixels }) => pixels)), COLORS);
  const gif = GIFEncoder();
  for (let i = 0; i < frames; i++) {
    const { pixels, width: wide, height } = picture(i);
    gif.writeFrame(applyPalette(pixels, palette), wide, height, {
      ...(i === 0 && { palette }),
      delay: 1000 / framesPerSecond,
    });
  }
  gif.finish();
  return gif.bytes();
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((n, { length }) => n + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Pixels in RGBA. */
interface Picture {
  width: number;
  height: number;
  pixels: Uint8Array;
}

let started: Promise<(svg: string, width: number) => Picture> | undefined;

/** Draws SVG in WebAssembly, which starts once in a process. */
function renderer(): Promise<(svg: string, width: number) => Picture> {
  started ??= (async () => {
    const { initWasm, Resvg } = await optionalPackage<typeof import('@resvg/resvg-wasm')>(RESVG, 'A film');
    await initWasm(readFileSync(load.resolve(`${RESVG}/index_bg.wasm`)));
    return (svg: string, value: number) => {
      const resvg = new Resvg(svg, { fitTo: { mode: 'width', value } });
      const image = resvg.render();
      const picture = { width: image.width, height: image.height, pixels: image.pixels.slice() };
      image.free();
      resvg.free();
      return picture;
    };
  })();
  return started;
}

/** Two pictures beside each other, as SVG. */
function sideBySide(left: Frame | undefined, right: Frame | undefined): string {
  const { width, height } = (left ?? right)!;
  const gap = GAP * width;
  const clip = (frame: Frame | undefined, x: number) =>
    `<svg x="${x}" width="${width}" height="${height}" viewBox="0 0 ${frame?.width ?? width} ${frame?.height ?? height}"><rect width="100%" height="100%" fill="#fff"/>${(frame?.shapes ?? []).map(element).join('')}</svg>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${2 * width + gap} ${height}"><rect width="100%" height="100%" fill="#888"/>${clip(left, 0)}${clip(right, width + gap)}</svg>`;
}

/** A shape as SVG. What an environment writes is text to SVG, whatever it is. */
function element(shape: FrameShape): string {
  const text = (value: unknown) => String(value).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
  switch (shape.kind) {
    case 'polygon':
      return `<polygon points="${text(shape.points.join(' '))}" fill="${text(shape.fill)}"/>`;
    case 'line':
      return `<polyline points="${text(shape.points.join(' '))}" fill="none" stroke="${text(shape.stroke)}" stroke-width="${text(shape.width)}"/>`;
    case 'circle':
      return `<circle cx="${text(shape.x)}" cy="${text(shape.y)}" r="${text(shape.radius)}" fill="${text(shape.fill)}"/>`;
    default:
      return `<image x="${text(shape.x)}" y="${text(shape.y)}" width="${text(shape.width)}" height="${text(shape.height)}" href="${text(shape.href)}"/>`;
  }
}

/** A picture of a world: its geoms' outlines, seen from the side or from above without perspective. */

import type { Frame, FrameShape } from '../environment.ts';
import { circle, ink, line, polygon } from '../picture/shapes.ts';
import type { Camera } from './task.ts';
import type { Simulation } from './world.ts';

/** MuJoCo's numbers for kinds of geoms, `mjtGeom`. */
const [plane, , sphere, capsule, ellipsoid, cylinder, box] = [0, 1, 2, 3, 4, 5, 6];

/** Corners of a round outline. */
const corners = 16;
const grid = '#dfe3e8';

/** Draws the current state of a simulation. */
export function picture(world: Simulation, camera: Camera = { from: 'side' }): Frame {
  const { from, meters = 4, follow, center = from === 'side' ? [0, meters / 4] : [0, 0] } = camera;
  const { model, data } = world;
  const above = from === 'above';
  const [width, height] = above ? [400, 400] : [600, 400];
  const scale = width / meters;
  const body = follow === undefined ? -1 : world.body(follow);
  const middleX = body < 0 ? center[0] : world.xpos[body * 3];
  const middleY = body < 0 || !above ? center[1] : world.xpos[body * 3 + 1];
  const x = (meters: number) => width / 2 + (meters - middleX) * scale;
  const y = (meters: number) => height / 2 - (meters - middleY) * scale;
  // the picture's horizontal and vertical axes
  const [right, up] = above ? [0, 1] : [0, 2];

  const shapes: FrameShape[] = [];
  const drawn: { depth: number; shape: FrameShape }[] = [];
  const positions = data.geom_xpos as Float64Array;
  const rotations = data.geom_xmat as Float64Array;
  const { geom_type: types, geom_size: sizes, geom_rgba: colors, geom_rbound: bounds } = model;
  for (let geom = 0; geom < model.ngeom; geom++) {
    const position = positions.subarray(geom * 3, geom * 3 + 3);
    const size = (sizes as Float64Array).subarray(geom * 3, geom * 3 + 3);
    const fill = color((colors as Float32Array).subarray(geom * 4, geom * 4 + 4));
    if (fill === undefined) continue;
    if (types[geom] === plane) {
      shapes.push(...ground(above));
      continue;
    }
    const rotation = rotations.subarray(geom * 9, geom * 9 + 9);
    const reach = (direction: readonly number[]) => farthest(types[geom], size, bounds[geom], rotation, direction);
    let shape: FrameShape;
    if (types[geom] === sphere) {
      shape = circle(fill, x(position[right]), y(position[up]), size[0] * scale);
    } else {
      const points: number[] = [];
      const direction = [0, 0, 0];
      for (let i = 0; i < corners; i++) {
        direction[right] = Math.cos((2 * Math.PI * (i + 0.5)) / corners);
        direction[up] = Math.sin((2 * Math.PI * (i + 0.5)) / corners);
        const point = reach(direction);
        points.push(x(position[right] + point[right]), y(position[up] + point[up]));
      }
      shape = polygon(fill, points);
    }
    // from the side, everything that moves in one plane is drawn in the model's order; from above, by its height
    drawn.push({ depth: above ? position[2] + reach([0, 0, 1])[2] : -position[1], shape });
  }
  drawn.sort((a, b) => a.depth - b.depth);
  for (const { shape } of drawn) shapes.push(shape);
  return { width, height, shapes };

  // the ground's line with a mark every meter, or its grid: it shows that the agent moves
  function ground(fromAbove: boolean): FrameShape[] {
    const lines: FrameShape[] = [];
    const first = Math.ceil(middleX - meters / 2);
    if (!fromAbove) {
      lines.push(line(ink.ground, 2, [0, y(0), width, y(0)]));
      for (let at = first; x(at) <= width; at++) lines.push(line(ink.ground, 2, [x(at), y(0), x(at), y(0) + 10]));
      return lines;
    }
    for (let at = first; x(at) <= width; at++) lines.push(line(grid, 1, [x(at), 0, x(at), height]));
    for (let at = Math.ceil(middleY - meters / 2); y(at) >= 0; at++)
      lines.push(line(grid, 1, [0, y(at), width, y(at)]));
    return lines;
  }
}

/**
 * The point of a geom farthest along `direction` [3], from the geom's center: its support function, from which the
 * outline is built. `rotation` [3, 3] turns the geom's axes into the world's.
 */
function farthest(
  type: number,
  size: ArrayLike<number>,
  radius: number,
  rotation: ArrayLike<number>,
  direction: readonly number[],
): number[] {
  // the direction in the geom's own axes
  const local = [0, 1, 2].map(
    (i) => rotation[i] * direction[0] + rotation[3 + i] * direction[1] + rotation[6 + i] * direction[2],
  );
  let point: number[];
  if (type === capsule) {
    point = [size[0] * local[0], size[0] * local[1], size[0] * local[2] + size[1] * Math.sign(local[2])];
  } else if (type === cylinder) {
    const across = Math.hypot(local[0], local[1]) || 1;
    point = [(size[0] * local[0]) / across, (size[0] * local[1]) / across, size[1] * Math.sign(local[2])];
  } else if (type === box) {
    point = local.map((value, i) => size[i] * Math.sign(value));
  } else if (type === sphere) {
    point = local.map((value) => size[0] * value);
  } else if (type === ellipsoid) {
    const length = Math.hypot(...local.map((value, i) => size[i] * value)) || 1;
    point = local.map((value, i) => (size[i] ** 2 * value) / length);
  } else {
    point = local.map((value) => radius * value); // meshes and the like: the sphere around them
  }
  return [0, 1, 2].map(
    (i) => rotation[3 * i] * point[0] + rotation[3 * i + 1] * point[1] + rotation[3 * i + 2] * point[2],
  );
}

/** A CSS color from red, green, blue and opacity in 0 … 1; undefined if it is invisible. */
function color(rgba: ArrayLike<number>): string | undefined {
  if (rgba[3] === 0) return undefined;
  const hex = [0, 1, 2]
    .map((i) =>
      Math.round(rgba[i] * 255)
        .toString(16)
        .padStart(2, '0'),
    )
    .join('');
  return rgba[3] < 1
    ? `#${hex}${Math.round(rgba[3] * 255)
        .toString(16)
        .padStart(2, '0')}`
    : `#${hex}`;
}

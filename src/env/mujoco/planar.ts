/**
 * Positions of the parts of a planar figure, computed from its joints' angles at this moment. MuJoCo's `xpos` lags
 * behind.
 */

/**
 * Heights of the ends of a chain of rods that hangs from a point at `height`, m. Without rotation, rod i reaches
 * along[i] forward and up[i] up. The joint at its beginning adds turns[i] to the pitch of it and of all later rods, in
 * radians about +y: forward turns down.
 */
export function heightsOf(
  height: number,
  along: readonly number[],
  up: readonly number[],
  turns: readonly number[],
): number[] {
  let pitch = 0;
  let z = height;
  return turns.map((turn, i) => {
    pitch += turn;
    z += up[i] * Math.cos(pitch) - along[i] * Math.sin(pitch);
    return z;
  });
}

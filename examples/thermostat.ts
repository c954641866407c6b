/**
 * An environment of one's own: a room that is heated against the weather.
 *
 * heed rl --env ./examples/thermostat.ts
 * heed train --env ./examples/thermostat.ts --teacher oracle
 */
import { circle, ink, line, random, rectangle, withTimeLimit } from 'heed/env';

const comfort = 21; // °C

/** Observation [3]: room and weather, in °C from 21, tenfold smaller; the heater, 0 … 1. Actions: 0 off, 1 low, 2 high. */
export default function thermostat() {
  let draw = random(0);
  let [room, weather, heater] = [0, 0, 0];

  return withTimeLimit({
    id: 'Thermostat',
    observationSpace: { kind: 'box', low: [-10, -10, 0], high: [10, 10, 1] },
    actionSpace: { kind: 'discrete', n: 3 },
    maxEpisodeSteps: 200, // of ten minutes each
    framesPerSecond: 20,
    start(seed) {
      draw = random(seed, 'thermostat'); // never Math.random: an episode has to be the same again
      room = 5 + 30 * draw.uniform();
      weather = -5 + 15 * draw.uniform();
      heater = 0;
    },
    advance(action, outcome) {
      heater += 0.3 * (action[0] / 2 - heater); // it takes a while to get warm, and to cool
      weather += 0.3 * draw.normal() + 0.02 * (3 - weather);
      room += 0.05 * (weather - room) + 1.8 * heater;
      outcome.reward = -Math.abs(room - comfort) / 10 - 0.05 * heater; // comfort, and what it costs
    },
    observe(observation) {
      observation[0] = (room - comfort) / 10;
      observation[1] = (weather - comfort) / 10;
      observation[2] = heater;
    },
    frame() {
      const height = (degrees: number) => 200 - 4 * (degrees + 10);
      return {
        width: 300,
        height: 220,
        shapes: [
          line(ink.goal, 2, [40, height(comfort), 260, height(comfort)]),
          rectangle(ink.body, 70, height(room), 30, 200 - height(room)),
          rectangle(ink.joint, 140, height(weather), 30, 200 - height(weather)),
          line(ink.ground, 2, [40, 200, 260, 200]),
          circle(ink.part, 225, 180, 4 + 16 * heater),
        ],
      };
    },
  });
}

/** Other worlds, other algorithms, and what queries are worth. */
import { worldsAsync } from './worlds-async.js';
import { worldsBehaviors } from './worlds-behaviors.js';
import { worldsBridge } from './worlds-bridge.js';
import { worldsPebble } from './worlds-pebble.js';
import { worldsPong } from './worlds-pong.js';
import { worldsPreferences } from './worlds-preferences.js';
import { worldsQueries } from './worlds-queries.js';
import { worldsRl } from './worlds-rl.js';

export const worlds = {
  sections: {
    ...worldsPreferences,
    ...worldsRl,
    ...worldsQueries,
    ...worldsPebble,
    ...worldsAsync,
    ...worldsPong,
    ...worldsBridge,
    ...worldsBehaviors,
  },
};

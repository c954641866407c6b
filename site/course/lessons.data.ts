/** The lessons that the course's first page lists. */
import { type Lesson, lessons } from '../.vitepress/pages.ts';

export default { watch: ['../../course/lessons/*/lesson.md'], load: lessons };
export declare const data: Lesson[];

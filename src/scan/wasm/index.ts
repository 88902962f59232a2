export { windows } from './escapes';
export { numbers } from './numbers';
export { runs } from './runs';
export { words } from './words';

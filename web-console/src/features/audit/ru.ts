import type { Translated } from '@/feature'
import type en from './en'

const ru: Translated<typeof en> = {
  title: 'Аудит',
  fields: {
    at: 'Когда',
    actor: 'Кто',
    action: 'Действие',
    subject: 'Объект',
    change: 'Изменение',
    reason: 'Причина',
    job: 'Номер задания',
    since: 'С',
    until: 'До',
  },
  empty: { title: 'Ничего не меняли', text: 'Здесь всё, что меняют люди: доступ, проекты, задания, очереди, расписания.' },
  jobs: '{count} задание | {count} задания | {count} заданий',
  details: 'Подробности',
  member: 'Поле',
  before: 'До',
  after: 'После',
  nothing: 'Состояние до и после не записано.',
  more: 'Ещё',
  affected: 'Задания',
  close: 'Закрыть',
}
export default ru

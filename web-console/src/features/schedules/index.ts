import { defineFeature } from '@/feature'
import en from './en'
import ru from './ru'

export const schedules = defineFeature({
  name: 'schedules',
  routes: [
    {
      path: '/schedules',
      name: 'schedules',
      component: () => import('./ScheduleList.vue'),
      meta: { right: 'platform_read', title: 'schedules.title' },
    },
    {
      path: '/schedules/:name',
      name: 'schedule',
      props: true,
      component: () => import('./ScheduleDetail.vue'),
      meta: { right: 'platform_read', title: 'schedules.one' },
    },
  ],
  navigation: [{ to: '/schedules', icon: 'i-lucide-calendar-clock', group: 'engine', letter: 's', right: 'platform_read' }],
  texts: { en, ru },
})
